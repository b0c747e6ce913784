"""The statuses: what Caisson reports."""

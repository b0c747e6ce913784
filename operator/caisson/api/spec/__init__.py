"""The specs: what users write."""

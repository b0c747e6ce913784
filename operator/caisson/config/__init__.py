"""The administrator's configuration."""

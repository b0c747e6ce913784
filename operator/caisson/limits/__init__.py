"""The administrator's limits and defaults. Pure."""

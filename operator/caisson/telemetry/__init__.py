"""Metrics, health, the HTTP endpoints that serve them, and logs."""

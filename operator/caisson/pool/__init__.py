"""The decision about a pool, its warm pods, and which of them a Sandbox gets. Pure."""

"""The decision about a pool and its warm pods. Pure."""

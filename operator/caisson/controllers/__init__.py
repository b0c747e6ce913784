"""The controllers, the only package that acts on the cluster. They observe, let the pure packages decide, and act."""

"""Caisson: a Kubernetes operator that gives any image a Docker daemon under gVisor and reports its health."""

__version__ = "0.1.0"

"""Figures of Caisson, each next to a floor that was taken in the same run: see docs/benchmarks.md."""

"""Benchmarks of Caisson. Each figure is compared with a baseline ("floor") of the same run. See docs/benchmarks.md."""

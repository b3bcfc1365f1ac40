"""Benchmarks: what Tidings costs, each figure beside its reference measured in the same run."""

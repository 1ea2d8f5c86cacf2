"""Measured figures: ``python -m benchmarks NAME [--smoke] [--json]``."""

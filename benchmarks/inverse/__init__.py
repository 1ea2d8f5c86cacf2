"""Inference of parameters from images: errors, coverage and wall time beside peers."""

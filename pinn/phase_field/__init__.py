"""Rates of phase fields from image series: one log-posterior, and the ways to its maximum."""

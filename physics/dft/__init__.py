"""Density functional theory."""

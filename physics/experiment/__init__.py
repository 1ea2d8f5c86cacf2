"""Measured properties and their replay."""

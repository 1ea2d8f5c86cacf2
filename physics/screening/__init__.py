"""Thousands of structures through a potential into a table that can be resumed."""

"""Constraints: feasible designs per second beside the peers."""

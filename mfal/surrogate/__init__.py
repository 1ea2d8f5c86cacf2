"""What the data say about every candidate at every fidelity."""

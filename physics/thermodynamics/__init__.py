"""What follows from energies: equations of state, elastic constants, the convex hull."""

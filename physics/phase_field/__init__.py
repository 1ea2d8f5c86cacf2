"""Phase fields: energies, solvers and how a camera sees them."""

"""Generated candidates: models of compositions whose constraints are built in, and what judges and steers them."""

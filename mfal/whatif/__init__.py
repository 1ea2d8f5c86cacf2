"""What-if studies: whole campaigns simulated by the code that runs them live."""

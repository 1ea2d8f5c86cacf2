"""Networks as fields, and how they are fitted to data and equations."""

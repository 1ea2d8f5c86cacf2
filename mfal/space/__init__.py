"""What may be queried: finite pools of candidates and their descriptors."""

"""What people and programs are told of an inference: screen, page, record."""

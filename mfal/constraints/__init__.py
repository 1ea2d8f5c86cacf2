"""What a candidate must satisfy before it may be queried."""

"""What a group would do without mfal; shown beside every result."""

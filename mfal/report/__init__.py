"""What a campaign did, for people: one self-contained page."""

"""What a query is expected to be worth."""

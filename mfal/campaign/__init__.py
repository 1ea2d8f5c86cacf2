"""A campaign: policy, oracles, budget and ledger."""

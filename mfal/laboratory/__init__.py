"""The door to a real laboratory: what it is asked, what it tells, and what a person has to sign.

Two ledgers lie side by side in a campaign's directory: ``ledger.sqlite``, which the campaign writes, and
``laboratory.sqlite``, which people and instruments write, also while the campaign runs. Both are append-only and
hash-chained. Results and signatures are on the disk as soon as `tell` or `sign` returns; the campaign learns from them
when it goes on.
"""

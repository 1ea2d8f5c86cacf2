"""The substrate: structures, potentials, density functional theory, measurements. Only `physics.oracles` knows mfal."""

"""Typed errors of elasticity."""


class ElasticityError(ValueError):
    """A tensor, grid or microstructure that is not one: names the value and the remedy."""

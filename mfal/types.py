"""Array types of the traced code, and the one switch to float64."""

import jax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

__all__ = ["Array", "Bool", "Float", "Int", "PRNGKeyArray"]

# Gaussian-process algebra loses all its digits in float32; nothing here may run before this is set.
jax.config.update("jax_enable_x64", True)

"""The one kind of network: dense layers, built by flax, in float64 like everything that it feeds."""

from collections.abc import Sequence
from itertools import pairwise

import jax
import jax.numpy as jnp
from flax import nnx

from mfal.types import Array, Float


class Perceptron(nnx.Module):
    """Dense layers with smooth activations between them."""

    def __init__(self, widths: Sequence[int], rngs: nnx.Rngs):
        """Build the layers between consecutive widths."""
        self.layers = nnx.List([nnx.Linear(i, o, param_dtype=jnp.float64, rngs=rngs) for i, o in pairwise(widths)])

    def __call__(self, x: Float[Array, "n i"]) -> Float[Array, "n o"]:
        """Return the output of the last layer."""
        for layer in self.layers[:-1]:
            x = jax.nn.silu(layer(x))
        return self.layers[-1](x)

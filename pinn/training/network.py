"""Networks that stand for fields: flax builds them, and their weights are one flat vector beside them."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from flax import nnx
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PRNGKeyArray

from pinn.training.envelope import AbstractEnvelope
from pinn.training.features import AbstractFeatures


@final
class NetworkField(eqx.Module):
    """A field of a point (time, *space), given its weights."""

    features: AbstractFeatures
    envelope: AbstractEnvelope
    graph: Any = eqx.field(static=True)
    unravel: Callable = eqx.field(static=True)

    def __call__(self, weights: Float[Array, " weights"], point: Float[Array, " axes"]) -> Float[Array, " outputs"]:
        """Return the values of the field at a point."""
        network = nnx.merge(self.graph, self.unravel(weights))
        return self.envelope(point, network(self.features(point)))


def perceptron_field(
    features: AbstractFeatures, envelope: AbstractEnvelope, hidden: Sequence[int], outputs: int, key: PRNGKeyArray
) -> tuple[NetworkField, Float[Array, " weights"]]:
    """Return a field of dense tanh layers and its weights to begin with.

    Args:
        features: of a point.
        envelope: of the output.
        hidden: widths of the hidden layers.
        outputs: values of the field at a point.
        key: of the weights.
    """
    return _field(_Perceptron((features.count, *hidden, outputs), nnx.Rngs(key)), features, envelope)


def pirate_field(
    features: AbstractFeatures,
    envelope: AbstractEnvelope,
    width: int,
    blocks: int,
    outputs: int,
    key: PRNGKeyArray,
) -> tuple[NetworkField, Float[Array, " weights"]]:
    """Return a field of gated residual blocks that begin as the identity, and its weights (Wang et al. 2024).

    Args:
        features: of a point.
        envelope: of the output.
        width: of every layer.
        blocks: of three layers each.
        outputs: values of the field at a point.
        key: of the weights.
    """
    return _field(_Pirate(features.count, width, blocks, outputs, nnx.Rngs(key)), features, envelope)


class _Perceptron(nnx.Module):
    """Dense layers with tanh between them."""

    def __init__(self, widths: Sequence[int], rngs: nnx.Rngs):
        self.layers = nnx.List([_dense(i, o, rngs) for i, o in pairwise(widths)])

    def __call__(self, x: Float[Array, " i"]) -> Float[Array, " o"]:
        for layer in self.layers[:-1]:
            x = jnp.tanh(layer(x))
        return self.layers[-1](x)


class _Pirate(nnx.Module):
    """An embedding, two gates made of it, blocks between the gates, and a linear layer."""

    def __init__(self, inputs: int, width: int, blocks: int, outputs: int, rngs: nnx.Rngs):
        self.embedding = _dense(inputs, width, rngs)
        self.first_gate = _dense(width, width, rngs)
        self.second_gate = _dense(width, width, rngs)
        self.blocks = nnx.List([_Block(width, rngs) for _ in range(blocks)])
        self.last = _dense(width, outputs, rngs)

    def __call__(self, x: Float[Array, " i"]) -> Float[Array, " o"]:
        x = jnp.tanh(self.embedding(x))
        gates = jnp.tanh(self.first_gate(x)), jnp.tanh(self.second_gate(x))
        for block in self.blocks:
            x = block(x, gates)
        return self.last(x)


class _Block(nnx.Module):
    """Three layers, gated after the first two, added by a share that begins at zero."""

    def __init__(self, width: int, rngs: nnx.Rngs):
        self.layers = nnx.List([_dense(width, width, rngs) for _ in range(3)])
        self.share = nnx.Param(jnp.zeros(()))

    def __call__(self, x: Float[Array, " w"], gates: tuple[Float[Array, " w"], Float[Array, " w"]]) -> Array:
        first, second = gates
        z = x
        for layer in self.layers[:2]:
            opened = jnp.tanh(layer(z))
            z = opened * first + (1.0 - opened) * second
        return self.share[...] * jnp.tanh(self.layers[2](z)) + (1.0 - self.share[...]) * x


def _dense(inputs: int, outputs: int, rngs: nnx.Rngs) -> nnx.Linear:
    return nnx.Linear(
        inputs, outputs, param_dtype=jnp.float64, kernel_init=jax.nn.initializers.glorot_normal(), rngs=rngs
    )


def _field(
    network: nnx.Module, features: AbstractFeatures, envelope: AbstractEnvelope
) -> tuple[NetworkField, Float[Array, " weights"]]:
    graph, state = nnx.split(network, nnx.Param)
    weights, unravel = ravel_pytree(state)
    return NetworkField(features, envelope, graph, unravel), weights

"""The probability that a composition is stable, learnt from stable and unstable compounds.

It sees statistics of elemental properties only, so it can be asked about elements that it has never seen, and its
gradient says where on the simplex compounds become more likely to be stable.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from mfal.errors import GenerationError
from mfal.generate.element_properties import element_properties, statistics
from mfal.generate.network import Perceptron
from mfal.generate.training import Schedule, fitted
from mfal.types import Array, Bool, Float, PRNGKeyArray

_SCHEDULE = Schedule(steps=3000, batch=256, learning_rate=2e-3)


@dataclass(frozen=True)
class ClassifierSettings:
    """Size and training of the classifier.

    Attributes:
        members: networks whose logits are averaged.
        hidden: width of two hidden layers.
        decay: weight of half the squared parameters in the loss.
        schedule: of training.
    """

    members: int = 5
    hidden: int = 48
    decay: float = 1e-4
    schedule: Schedule = _SCHEDULE

    def __post_init__(self) -> None:
        if self.members < 1 or self.hidden < 1 or self.decay < 0.0:
            raise GenerationError(f"{self} is no classifier: give sizes from 1 on and a decay that is not negative")


class FeasibilityClassifier(eqx.Module):
    """A trained ensemble.

    Attributes:
        elements: columns of the compositions that it is asked about.
        properties: of these elements.
        centre: of the statistics over the training set.
        scale: their standard deviations there.
        graph: network without parameters.
        parameters: of all members, along the first axis.
    """

    elements: tuple[str, ...] = eqx.field(static=True)
    properties: Float[Array, "d p"]
    centre: Float[Array, " s"]
    scale: Float[Array, " s"]
    graph: nnx.GraphDef = eqx.field(static=True)
    parameters: nnx.State

    def logit(self, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        """Return the mean logit of the members at some fractions."""
        features = (statistics(x, self.properties) - self.centre) / self.scale
        return jnp.mean(jax.vmap(lambda one: _logit(self.graph, one, features))(self.parameters), axis=0)

    def probability(self, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        """Return the probability that compounds are stable."""
        return jax.nn.sigmoid(self.logit(x))

    def log_probability(self, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        """Return the logarithm of that probability, whose gradient is never lost to rounding."""
        return jax.nn.log_sigmoid(self.logit(x))

    def on(self, elements: Sequence[str]) -> "FeasibilityClassifier":
        """Return the same classifier for compositions of other elements."""
        properties = jnp.asarray(element_properties(elements))
        return FeasibilityClassifier(tuple(elements), properties, self.centre, self.scale, self.graph, self.parameters)


def train_classifier(
    elements: Sequence[str],
    x: Float[np.ndarray, "n d"],
    stable: Bool[np.ndarray, " n"],
    settings: ClassifierSettings,
    key: PRNGKeyArray,
) -> FeasibilityClassifier:
    """Return a classifier of compositions.

    Args:
        elements: columns of `x`.
        x: fractions of compounds.
        stable: which of them are.
        settings: sizes and training.
        key: of the first parameters and the batches.

    Raises:
        GenerationError: all compounds are of one kind, or an element has no tabulated property.
    """
    if stable.all() or not stable.any():
        raise GenerationError(f"all {len(stable)} compounds are of one kind: give stable and unstable ones")
    properties = jnp.asarray(element_properties(elements))
    features = statistics(jnp.asarray(x), properties)
    centre, spread = jnp.mean(features, axis=0), jnp.std(features, axis=0)
    scale = jnp.where(spread > 0.0, spread, 1.0)
    data = jnp.column_stack([(features - centre) / scale, jnp.asarray(stable, jnp.float64)])
    graph, parameters = _ensemble(data, settings, key)
    return FeasibilityClassifier(tuple(elements), properties, centre, scale, graph, parameters)


@eqx.filter_jit
def _ensemble(
    data: Float[Array, "n c"], settings: ClassifierSettings, key: PRNGKeyArray
) -> tuple[nnx.GraphDef, nnx.State]:
    widths = (data.shape[1] - 1, settings.hidden, settings.hidden, 1)
    graph = nnx.split(Perceptron(widths, nnx.Rngs(0)), nnx.Param)[0]

    def member(key: PRNGKeyArray) -> nnx.State:
        first, rest = jax.random.split(key)
        start = nnx.split(Perceptron(widths, nnx.Rngs(first)), nnx.Param)[1]
        return fitted(lambda p, batch, _: _loss(graph, p, batch, settings.decay), start, data, settings.schedule, rest)[
            0
        ]

    return graph, jax.vmap(member)(jax.random.split(key, settings.members))


def _loss(graph: nnx.GraphDef, parameters: nnx.State, batch: Float[Array, "n c"], decay: float) -> Float[Array, ""]:
    misfit = optax.sigmoid_binary_cross_entropy(_logit(graph, parameters, batch[:, :-1]), batch[:, -1])
    return jnp.mean(misfit) + 0.5 * decay * optax.tree.norm(parameters, squared=True)


def _logit(graph: nnx.GraphDef, parameters: nnx.State, features: Float[Array, "n s"]) -> Float[Array, " n"]:
    return nnx.merge(graph, parameters)(features)[:, 0]

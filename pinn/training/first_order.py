"""First-order training: Adam over minibatches of every term, one compiled scan."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from pinn.errors import InferenceError
from pinn.training.compiling import compiled
from pinn.training.least_squares import Term, objective


@dataclass(frozen=True)
class Schedule:
    """How long and how fast Adam goes.

    Attributes:
        steps: with a rate that falls to zero along a cosine.
        rate: of the first step.
        batch: samples of each term a step, drawn with replacement; smaller terms are used whole.
    """

    steps: int
    rate: float = 3e-3
    batch: int = 1024

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1 or not self.rate > 0.0:
            raise InferenceError(f"{self} trains nothing: give steps and a batch from 1 on, and a rate above 0")


@compiled
def adam(
    terms: Sequence[Term], unknowns: Float[Array, " unknowns"], schedule: Schedule, key: PRNGKeyArray
) -> tuple[Float[Array, " unknowns"], Float[Array, " steps"]]:
    """Return the unknowns after training and the estimated objective of every step."""
    optimiser = optax.adam(optax.cosine_decay_schedule(schedule.rate, schedule.steps))

    def step(carry: tuple, key: PRNGKeyArray) -> tuple[tuple, Array]:
        unknowns, state = carry
        value, gradient = jax.value_and_grad(_estimated, argnums=1)(terms, unknowns, schedule.batch, key)
        updates, state = optimiser.update(gradient, state)
        return (optax.apply_updates(unknowns, updates), state), value

    keys = jax.random.split(key, schedule.steps)
    (unknowns, _), curve = jax.lax.scan(step, (unknowns, optimiser.init(unknowns)), keys)
    return unknowns, curve


def _estimated(terms: Sequence[Term], unknowns: Float[Array, " unknowns"], batch: int, key: PRNGKeyArray) -> Array:
    """Return an unbiased estimate of the objective a sample, so that rates mean the same for all sizes."""
    total = sum(term.samples.shape[0] for term in terms)
    keys = jax.random.split(key, len(terms))
    parts = [_share(term, batch, key) for term, key in zip(terms, keys, strict=True)]
    return objective(parts, unknowns) / total


def _share(term: Term, batch: int, key: PRNGKeyArray) -> Term:
    count = term.samples.shape[0]
    if count <= batch:
        return term
    chosen = jax.random.randint(key, (batch,), 0, count)
    weights = term.weights[chosen] * (count / batch) ** 0.5
    return Term(term.row, term.samples[chosen], weights, term.shifts[chosen])

"""Fit parameters by Adam: all steps are one compiled scan."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import optax

from mfal.errors import GenerationError
from mfal.types import Array, Float, PRNGKeyArray

# A pytree of arrays: optax wants to know no more of it.
Parameters = TypeVar("Parameters", bound=Any)


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train.

    Attributes:
        steps: of Adam; the rate falls to zero along a cosine.
        batch: rows of a step, drawn with replacement.
        learning_rate: of the first step.
    """

    steps: int = 4000
    batch: int = 128
    learning_rate: float = 2e-3

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1 or not self.learning_rate > 0.0:
            raise GenerationError(f"{self} trains nothing: give steps and a batch from 1 on, and a rate above 0")


def fitted(
    loss: Callable[[Parameters, Array, PRNGKeyArray], Float[Array, ""]],
    parameters: Parameters,
    data: Float[Array, "n d"],
    schedule: Schedule,
    key: PRNGKeyArray,
) -> tuple[Parameters, Float[Array, " steps"]]:
    """Return the parameters after training and the loss of every step.

    Args:
        loss: mean over the rows of a batch, given parameters, batch and a key.
        parameters: to begin with.
        data: a row an example.
        schedule: length and rate.
        key: of batches and of what the loss draws.
    """
    optimiser = optax.adam(optax.cosine_decay_schedule(schedule.learning_rate, schedule.steps))

    def step(carry: tuple, key: PRNGKeyArray) -> tuple[tuple, Array]:
        parameters, state = carry
        chosen, noise = jax.random.split(key)
        batch = data[jax.random.randint(chosen, (schedule.batch,), 0, data.shape[0])]
        value, gradient = jax.value_and_grad(loss)(parameters, batch, noise)
        updates, state = optimiser.update(gradient, state)
        return (optax.apply_updates(parameters, updates), state), value

    keys = jax.random.split(key, schedule.steps)
    (parameters, _), losses = jax.lax.scan(step, (parameters, optimiser.init(parameters)), keys)
    return parameters, losses

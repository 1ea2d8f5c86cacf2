"""Branches and loops that stay cheap when a whole batch of campaigns is simulated at once."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp

from mfal.types import Array, Bool, Int

Value = TypeVar("Value")


@jax.custom_batching.custom_vmap
def for_any(predicate: Bool[Array, ""]) -> Bool[Array, ""]:
    """Return `predicate`; under ``vmap``, whether it holds for any member of the batch.

    ``lax.cond`` on a batched predicate computes both branches for everybody, always. Where the dearer branch is right
    for those members too that could have taken the other, asking for any keeps it to the steps in which it is needed.
    """
    return predicate


@for_any.def_vmap
def _for_any_of_batch(_: int, batched: list[bool], predicate: Array) -> tuple[Array, bool]:
    return (for_any(jnp.any(predicate, axis=0)) if batched[0] else predicate), False


@jax.custom_batching.custom_vmap
def for_all(count: Int[Array, ""]) -> Int[Array, ""]:
    """Return `count`; under ``vmap``, the largest of the batch.

    A loop with a trip count of its own for every member selects between old and new on all that it carries, in every
    step. Where a step too many changes nothing, one count for all leaves the loop as it is.
    """
    return count


@for_all.def_vmap
def _for_all_of_batch(_: int, batched: list[bool], count: Array) -> tuple[Array, bool]:
    return (for_all(jnp.max(count, axis=0)) if batched[0] else count), False


def replaced_if(predicate: Bool[Array, ""], remedy: Callable[[], Value], value: Value) -> Value:
    """Return ``remedy()`` where `predicate` holds for any member of the batch, else `value` untouched.

    A loop of one round or none: XLA keeps what a loop carries in place, where ``lax.cond`` copies it.
    """

    def body(carry: tuple[Array, Value]) -> tuple[Array, Value]:
        return jnp.zeros((), bool), remedy()

    return jax.lax.while_loop(lambda carry: carry[0], body, (for_any(predicate), value))[1]

"""Branches that stay branches when a whole batch of campaigns is simulated at once."""

import jax
import jax.numpy as jnp

from mfal.types import Array, Bool


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

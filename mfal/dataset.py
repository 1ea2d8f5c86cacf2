"""Queries and their answers as padded arrays of fixed shape."""

import equinox as eqx
import jax.numpy as jnp

from mfal.types import Array, Bool, Float, Int

EMPTY, PENDING, OBSERVED, FAILED = 0, 1, 2, 3


class Dataset(eqx.Module):
    """Rows in the order of decision; a row is pending until its answer is recorded.

    Attributes:
        candidate: index in the pool, shape (capacity,).
        fidelity: index in the ladder, shape (capacity,).
        value: answer in the property's unit, zero where there is none.
        noise_variance: variance of the answer, in the unit squared.
        status: EMPTY, PENDING, OBSERVED or FAILED.
    """

    candidate: Int[Array, " capacity"]
    fidelity: Int[Array, " capacity"]
    value: Float[Array, " capacity"]
    noise_variance: Float[Array, " capacity"]
    status: Int[Array, " capacity"]

    @property
    def observed(self) -> Bool[Array, " capacity"]:
        """Rows with a value."""
        return self.status == OBSERVED

    @property
    def pending(self) -> Bool[Array, " capacity"]:
        """Rows still waiting for an answer."""
        return self.status == PENDING

    @property
    def count(self) -> Int[Array, ""]:
        """Rows in use."""
        return jnp.sum(self.status != EMPTY)


class Answers(eqx.Module):
    """A batch of answers, padded with rows that are not `valid`; all arrays of shape (batch,)."""

    candidate: Int[Array, " batch"]
    fidelity: Int[Array, " batch"]
    value: Float[Array, " batch"]
    noise_variance: Float[Array, " batch"]
    price_eur: Float[Array, " batch"]
    failed: Bool[Array, " batch"]
    valid: Bool[Array, " batch"]


def empty_dataset(capacity: int) -> Dataset:
    """Return a dataset with `capacity` free rows."""
    zeros, indices = jnp.zeros(capacity), jnp.zeros(capacity, dtype=jnp.int32)
    return Dataset(indices, indices, zeros, jnp.ones(capacity), indices)


def grow(dataset: Dataset, capacity: int) -> Dataset:
    """Return the same rows with room for `capacity`; a new shape, so traced code compiles once more."""
    room = capacity - dataset.status.shape[0]
    blank = empty_dataset(room)
    return Dataset(*(jnp.concatenate(pair) for pair in zip(_fields(dataset), _fields(blank), strict=True)))


def add_pending(
    dataset: Dataset, candidate: Int[Array, ""], fidelity: Int[Array, ""], noise_variance: Float[Array, ""]
) -> Dataset:
    """Append one row whose answer is expected with `noise_variance`.

    Without a free row nothing is written, so keep `count` below capacity.
    """
    row = dataset.count
    return Dataset(
        dataset.candidate.at[row].set(candidate.astype(dataset.candidate.dtype), mode="drop"),
        dataset.fidelity.at[row].set(fidelity.astype(dataset.fidelity.dtype), mode="drop"),
        dataset.value,
        dataset.noise_variance.at[row].set(noise_variance, mode="drop"),
        dataset.status.at[row].set(PENDING, mode="drop"),
    )


def record(dataset: Dataset, answers: Answers) -> Dataset:
    """Write answers into their pending rows; an answer nobody waits for changes nothing."""
    match = (
        (dataset.candidate[:, None] == answers.candidate)
        & (dataset.fidelity[:, None] == answers.fidelity)
        & dataset.pending[:, None]
        & answers.valid
    )
    hit, which = match.any(axis=1), match.argmax(axis=1)
    failed = answers.failed[which]
    return Dataset(
        dataset.candidate,
        dataset.fidelity,
        jnp.where(hit & ~failed, answers.value[which], dataset.value),
        jnp.where(hit & ~failed, answers.noise_variance[which], dataset.noise_variance),
        jnp.where(hit, jnp.where(failed, FAILED, OBSERVED), dataset.status).astype(dataset.status.dtype),
    )


def table(dataset: Dataset, mask: Bool[Array, " capacity"], candidates: int, fidelities: int) -> Bool[Array, "n L"]:
    """Return which (candidate, fidelity) pairs occur among the rows of `mask`."""
    blank = jnp.zeros((candidates, fidelities), dtype=bool)
    return blank.at[dataset.candidate, dataset.fidelity].max(mask & (dataset.status != EMPTY))


def values(dataset: Dataset, fidelity: int, candidates: int) -> tuple[Bool[Array, " n"], Float[Array, " n"]]:
    """Return, for one fidelity, which candidates have a value and the values (zero elsewhere)."""
    rows = dataset.observed & (dataset.fidelity == fidelity)
    known = jnp.zeros(candidates, dtype=bool).at[dataset.candidate].max(rows)
    value = jnp.zeros(candidates).at[dataset.candidate].add(jnp.where(rows, dataset.value, 0.0))
    return known, value


def _fields(dataset: Dataset) -> tuple[Array, ...]:
    return (dataset.candidate, dataset.fidelity, dataset.value, dataset.noise_variance, dataset.status)

"""Queries and their answers as tables over candidates and fidelities.

A query is asked once, so a table holds a campaign completely. Its shape is that of the pool, never that of the data:
nothing compiles again as answers come in.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from mfal.errors import DatasetError
from mfal.types import Array, Bool, Float, Int

EMPTY, PENDING, OBSERVED, FAILED = 0, 1, 2, 3


class Dataset(eqx.Module):
    """What has been asked and answered; all arrays of shape (candidates, fidelities).

    Attributes:
        status: EMPTY, PENDING, OBSERVED or FAILED.
        value: answer in the property's unit, zero where there is none.
        noise_variance: variance of the answer, or of the answer expected, in the unit squared.
    """

    status: Int[Array, "n L"]
    value: Float[Array, "n L"]
    noise_variance: Float[Array, "n L"]

    @property
    def observed(self) -> Bool[Array, "n L"]:
        """Queries with a value."""
        return self.status == OBSERVED

    @property
    def pending(self) -> Bool[Array, "n L"]:
        """Queries still waiting for an answer."""
        return self.status == PENDING

    @property
    def asked(self) -> Bool[Array, "n L"]:
        """Queries that are not open any more."""
        return self.status != EMPTY


class Answers(eqx.Module):
    """A batch of answers, padded with rows that are not `valid`; all arrays of shape (batch,)."""

    candidate: Int[Array, " batch"]
    fidelity: Int[Array, " batch"]
    value: Float[Array, " batch"]
    noise_variance: Float[Array, " batch"]
    price_eur: Float[Array, " batch"]
    failed: Bool[Array, " batch"]
    valid: Bool[Array, " batch"]


def empty_dataset(candidates: int, fidelities: int) -> Dataset:
    """Return the tables of a campaign that has asked nothing."""
    zeros = jnp.zeros((candidates, fidelities))
    return Dataset(zeros.astype(jnp.int8), zeros, zeros)


def expect(
    dataset: Dataset,
    candidate: Int[Array, " batch"],
    fidelity: Int[Array, " batch"],
    noise_variance: Float[Array, " batch"],
    use: Bool[Array, " batch"],
) -> Dataset:
    """Mark the queries of the rows in `use` as pending, their answers expected with `noise_variance`."""
    row = jnp.where(use, candidate, dataset.status.shape[0])
    return Dataset(
        dataset.status.at[row, fidelity].set(PENDING, mode="drop"),
        dataset.value,
        dataset.noise_variance.at[row, fidelity].set(noise_variance, mode="drop"),
    )


def withdraw(dataset: Dataset, query: Bool[Array, "n L"]) -> Dataset:
    """Take pending queries back: they may be asked again."""
    status = jnp.where(query & dataset.pending, EMPTY, dataset.status)
    return Dataset(status.astype(dataset.status.dtype), dataset.value, dataset.noise_variance)


def record(dataset: Dataset, answers: Answers) -> Dataset:
    """Write answers to pending queries; an answer nobody waits for changes nothing."""
    awaited = answers.valid & dataset.pending[answers.candidate, answers.fidelity]
    row = jnp.where(awaited, answers.candidate, dataset.status.shape[0])
    good = jnp.where(answers.failed, dataset.status.shape[0], row)
    status = jnp.where(answers.failed, FAILED, OBSERVED).astype(dataset.status.dtype)
    return Dataset(
        dataset.status.at[row, answers.fidelity].set(status, mode="drop"),
        dataset.value.at[good, answers.fidelity].set(answers.value, mode="drop"),
        dataset.noise_variance.at[good, answers.fidelity].set(answers.noise_variance, mode="drop"),
    )


def correct(dataset: Dataset, answers: Answers) -> Dataset:
    """Replace earlier answers by newer ones; what was not answered before stays as it is."""
    touched = jnp.zeros_like(dataset.observed).at[answers.candidate, answers.fidelity].max(answers.valid)
    again = touched & (dataset.observed | (dataset.status == FAILED))
    status = jnp.where(again, PENDING, dataset.status).astype(dataset.status.dtype)
    return record(Dataset(status, jnp.where(again, 0.0, dataset.value), dataset.noise_variance), answers)


def from_rows(
    candidate: np.ndarray,
    fidelity: np.ndarray,
    value: np.ndarray,
    noise_variance: np.ndarray,
    candidates: int,
    fidelities: int,
) -> Dataset:
    """Return the tables of finished answers, repeats pooled.

    Repeats of a query are averaged with their inverse variances; where they contradict each other by more than their
    variances allow, the variance of the mean is raised to what the scatter shows (Birge ratio, 10.1103/PhysRev.40.207).

    Raises:
        DatasetError: a value or variance is not finite, a variance is negative, or an index is out of range.
    """
    _refuse_rows(candidate, fidelity, value, noise_variance, candidates, fidelities)
    cell, shape = np.asarray(candidate) * fidelities + np.asarray(fidelity), (candidates, fidelities)
    floor = np.maximum(noise_variance, np.finfo(float).tiny ** 0.5)
    total, weighted, count = np.zeros(shape).ravel(), np.zeros(shape).ravel(), np.zeros(shape).ravel()
    np.add.at(count, cell, 1.0)
    np.add.at(total, cell, 1.0 / floor)
    np.add.at(weighted, cell, value / floor)
    seen = count > 0
    mean = np.divide(weighted, total, out=np.zeros_like(total), where=seen)
    scatter = np.zeros_like(total)
    np.add.at(scatter, cell, (value - mean[cell]) ** 2)
    formal = np.divide(1.0, total, out=np.zeros_like(total), where=seen)
    shown = np.divide(scatter, count * (count - 1.0), out=np.zeros_like(total), where=count > 1)
    variance = np.where(formal <= np.finfo(float).tiny ** 0.5, 0.0, formal)
    return Dataset(
        jnp.asarray(np.where(seen, OBSERVED, EMPTY).reshape(shape).astype(np.int8)),
        jnp.asarray(mean.reshape(shape)),
        jnp.asarray(np.maximum(variance, shown).reshape(shape)),
    )


def _refuse_rows(
    candidate: np.ndarray, fidelity: np.ndarray, value: np.ndarray, noise_variance: np.ndarray, n: int, levels: int
) -> None:
    checks = (
        ("candidate", candidate, (np.asarray(candidate) < 0) | (np.asarray(candidate) >= n), f"use 0 to {n - 1}"),
        ("fidelity", fidelity, (np.asarray(fidelity) < 0) | (np.asarray(fidelity) >= levels), f"use 0 to {levels - 1}"),
        ("value", value, ~np.isfinite(value), "record it as a failed query or drop the row"),
        ("noise_variance", noise_variance, ~(np.isfinite(noise_variance) & (np.asarray(noise_variance) >= 0)),
         "give a finite variance, zero where the answer is exact"),
    )  # fmt: skip
    for name, column, bad, remedy in checks:
        if bad.any():
            row = int(np.argmax(bad))
            raise DatasetError(f"row {row}: {name} = {np.asarray(column)[row]} cannot be used; {remedy}")

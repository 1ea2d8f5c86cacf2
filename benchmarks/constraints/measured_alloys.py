"""Measured hardness of Al-Co-Cr-Fe-Ni alloys: replayed as it was measured, and emulated between the compositions.

Replay: a campaign may only ask for compositions in the table, each once, and is answered by one of its records at
random, so processing and laboratory scatter as they did. Wanted are high-entropy alloys in Yeh's sense (5 to 35 at.% of
each of five elements, 10.1002/adem.200300567); the hardest alloys of the table have more Al. `filtered` removes the
others before ranking, `unfiltered` ranks all and finds out. Emulator: the mean of a Gaussian process fitted to all
records, with the scatter it found as the noise of a measurement. Its optimum within the bounds (988 HV, +- 86) lies
beyond what was measured there (624 HV): a test function of the right scale, no prediction.
"""

from dataclasses import dataclass
from functools import cache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.decisions.tasks import mpea_hardness
from mfal.acquisition.improvement import expected_improvement
from mfal.space.formula import Formula
from mfal.surrogate.designs import DesignBelief, DesignGP, Designs
from mfal.types import Array, Bool, Float, Int, PRNGKeyArray

ELEMENTS = ("Al", "Co", "Cr", "Fe", "Ni")
LEAST, MOST = 0.05, 0.35
# Known before any answer: alloys of 3d metals have some hundred HV.
TYPICAL_HV, SPREAD_HV = 400.0, 200.0


@dataclass(frozen=True)
class MeasuredAlloys:
    """Records of hardness.

    Attributes:
        fractions: of the compositions, as `ELEMENTS`.
        record: index of the composition of each record.
        hardness_hv: of each record.
    """

    fractions: np.ndarray
    record: np.ndarray
    hardness_hv: np.ndarray

    @property
    def typical_hv(self) -> np.ndarray:
        """Return the median of the records of each composition."""
        return np.array([np.median(self.hardness_hv[self.record == i]) for i in range(len(self.fractions))])

    @property
    def wanted(self) -> np.ndarray:
        """Return which compositions keep the bounds."""
        return np.asarray(((self.fractions >= LEAST) & (self.fractions <= MOST)).all(axis=1))


@cache
def measured_alloys() -> MeasuredAlloys:
    """Read the records of alloys of these elements from the Citrine MPEA table.

    Raises:
        DataMissingError: the table is not on this machine.
    """
    texts, hardness_hv = zip(*mpea_hardness(), strict=True)
    formulas = [Formula.parse(text) for text in texts]
    kept = [i for i, formula in enumerate(formulas) if set(formula.amounts) <= set(ELEMENTS)]
    rounded = np.round([formulas[i].fractions(ELEMENTS) for i in kept], 4)
    fractions, record = np.unique(rounded, axis=0, return_inverse=True)
    exact = fractions / fractions.sum(axis=1, keepdims=True)
    return MeasuredAlloys(exact, record.ravel(), np.array(hardness_hv)[kept])


class Replay(eqx.Module):
    """Campaigns over the table.

    Attributes:
        asked: compositions in order, one campaign a row, the random ones first.
        announced: typical hardness of the wanted composition that would be named best after each one behind the random
            ones; NaN as long as none was measured.
    """

    asked: Int[Array, "campaigns rows"]
    announced: Float[Array, "campaigns steps"]


def replay(alloys: MeasuredAlloys, filtered: bool, initial: int, measurements: int, keys: PRNGKeyArray) -> Replay:
    """Return one campaign a key."""
    wanted = alloys.wanted
    allowed = wanted if filtered else np.ones_like(wanted)
    counts = np.bincount(alloys.record)
    answers = np.zeros((len(counts), counts.max()))
    for i, count in enumerate(counts):
        answers[i, :count] = alloys.hardness_hv[alloys.record == i]
    tables = _Tables(
        fractions=jnp.asarray(alloys.fractions),
        answers=jnp.asarray(answers),
        counts=jnp.asarray(counts),
        typical=jnp.asarray(alloys.typical_hv),
        wanted=jnp.asarray(wanted),
        allowed=jnp.asarray(allowed),
    )
    return Replay(*_replays(tables, initial, measurements, keys))


@eqx.filter_jit
def _replays(tables: "_Tables", initial: int, measurements: int, keys: PRNGKeyArray) -> tuple[Array, Array]:
    return jax.lax.map(lambda key: _one(tables, initial, measurements, key), keys)


class _Tables(eqx.Module):
    fractions: Float[Array, "n d"]
    answers: Float[Array, "n repeats"]
    counts: Int[Array, " n"]
    typical: Float[Array, " n"]
    wanted: Bool[Array, " n"]
    allowed: Bool[Array, " n"]

    def answer(self, candidate: Int[Array, ""], key: PRNGKeyArray) -> Float[Array, ""]:
        """Return one of the records."""
        return self.answers[candidate, jax.random.randint(key, (), 0, self.counts[candidate])]


def _one(tables: _Tables, initial: int, measurements: int, key: PRNGKeyArray) -> tuple[Array, Array]:
    of_start, of_steps = jax.random.split(key)
    draws = jax.random.uniform(of_start, tables.allowed.shape)
    first = jnp.argsort(jnp.where(tables.allowed, draws, jnp.inf))[:initial]
    keys = jax.random.split(of_steps, measurements)
    told = Designs.room(measurements, tables.fractions.shape[1])
    for row in range(initial):
        told = told.with_answer(tables.fractions[first[row]], tables.answer(first[row], keys[row]))
    asked = jnp.zeros(measurements, jnp.int32).at[:initial].set(first.astype(jnp.int32))

    def step(state: tuple, now: tuple) -> tuple[tuple, Array]:
        (asked, told, process), (row, key) = state, now
        process = process.fit(told)
        mean, deviation = process.condition(told).at(tables.fractions)
        seen = jnp.zeros_like(tables.allowed).at[asked].max(told.used)
        rivals = seen & jnp.where((seen & tables.wanted).any(), tables.wanted, True)
        gain = expected_improvement(mean - jnp.max(jnp.where(rivals, mean, -jnp.inf)), deviation)
        chosen = jnp.argmax(jnp.where(tables.allowed & ~seen, gain, -1.0)).astype(jnp.int32)
        told = told.with_answer(tables.fractions[chosen], tables.answer(chosen, key))
        asked = asked.at[row].set(chosen)
        mean = process.condition(told).at(tables.fractions)[0]
        useful = seen.at[chosen].set(True) & tables.wanted
        named = tables.typical[jnp.argmax(jnp.where(useful, mean, -jnp.inf))]
        return (asked, told, process), jnp.where(useful.any(), named, jnp.nan)

    process = DesignGP.before_answers(tables.fractions.shape[1], TYPICAL_HV, SPREAD_HV)
    steps = (jnp.arange(initial, measurements), keys[initial:])
    (asked, _, _), announced = jax.lax.scan(step, (asked, told, process), steps)
    return asked, announced


def emulator(alloys: MeasuredAlloys) -> DesignGP:
    """Return the process fitted to all records."""
    return DesignGP.before_answers(len(ELEMENTS), TYPICAL_HV, SPREAD_HV).fit(_records(alloys))


class Emulated(eqx.Module):
    """Hardness of any alloy as the process believes it, given all records.

    Attributes:
        belief: given them.
    """

    belief: DesignBelief

    @staticmethod
    def by(process: DesignGP, alloys: MeasuredAlloys) -> "Emulated":
        """Return the emulator."""
        return Emulated(process.condition(_records(alloys)))

    def __call__(self, alloy: Float[Array, " d"]) -> Float[Array, ""]:
        """Return HV."""
        return self.belief.at(alloy[None])[0][0]


def left_out_error(alloys: MeasuredAlloys, process: DesignGP) -> float:
    """Return the mean absolute error in HV of records whose composition was left out, hyper-parameters kept."""
    everything = _records(alloys)

    def predicted(index: Int[Array, ""]) -> Float[Array, ""]:
        kept = jnp.asarray(alloys.record) != index
        left = Designs(everything.x, jnp.where(kept, everything.value, 0.0), kept)
        return process.condition(left).at(jnp.asarray(alloys.fractions)[index][None])[0][0]

    means = np.asarray(jax.lax.map(predicted, jnp.arange(len(alloys.fractions))))
    return float(np.abs(means[alloys.record] - alloys.hardness_hv).mean())


def _records(alloys: MeasuredAlloys) -> Designs:
    x, value = jnp.asarray(alloys.fractions[alloys.record]), jnp.asarray(alloys.hardness_hv)
    return Designs(x, value, jnp.ones(len(value), bool))

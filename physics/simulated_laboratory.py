"""The entry points of the simulated laboratory: an oracle with a clock of its own, and a grid of alloys."""

import dataclasses
import hashlib
import itertools
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from mfal.constraints.conservation import Precursor as Weighed
from mfal.constraints.conservation import Recipe as Balanced
from mfal.constraints.conservation import recipe_verdict
from mfal.errors import CampaignFileError
from mfal.fidelity import Fidelity
from mfal.oracle import JobId, Observation, OracleContext, Query
from mfal.space.formula import Formula, formula_of
from mfal.space.pool import Pool
from physics.experiment import failures as kinds
from physics.experiment.clock import DAY
from physics.experiment.failures import Failures
from physics.experiment.laboratory import USUAL_LINE, Answer, Instrument, Laboratory, Truth
from physics.experiment.line import Arrival, Line, Station
from physics.experiment.recipe import Platform, Precursor, Ramp, Recipe
from physics.oracle_options import refuse_unknown

OPTIONS = ("seed", "truth", "failures", "instrument", "platform", "recipe", "stations", "attempts", "operators")
# A campaign begins on a Monday at eight.
BEGINS = 8 * 60
# Weighed in for one sample.
SAMPLE_MG = 5000.0
# Share by which the atoms of a recipe may miss its product.
BALANCED = 1e-6

FAILURES = {
    "dropped": kinds.Dropped,
    "refused": kinds.Refused,
    "contaminated": kinds.Contaminated,
    "misweighed": kinds.Misweighed,
    "furnace": kinds.FurnaceDeviation,
    "drift": kinds.Drift,
    "batch": kinds.BatchOffset,
    "misassigned": kinds.Misassigned,
    "operators": kinds.OperatorBottleneck,
}
Record = TypeVar("Record")


def alloy_grid(options: Mapping[str, Any]) -> Pool:
    """Build the pool of all alloys of some elements whose fractions are multiples of one over ``parts``.

    Options: ``elements`` (two or more symbols), ``parts`` (default 10), ``least`` (elements in an alloy, default 2).
    Descriptors are the fractions.

    Raises:
        CampaignFileError: an option is unknown or has a wrong value.
    """
    refuse_unknown(options, ("elements", "parts", "least"), "candidates")
    elements, parts, least = list(options.get("elements", [])), options.get("parts", 10), options.get("least", 2)
    if len(elements) < 2 or not isinstance(parts, int) or not isinstance(least, int) or not 1 <= least <= parts:
        raise CampaignFileError(f"candidates: {elements=}, {parts=}, {least=}: give two elements, and whole numbers")
    counts = [c for c in itertools.product(range(parts + 1), repeat=len(elements)) if sum(c) == parts]
    rows = np.array([c for c in counts if sum(n > 0 for n in c) >= least]) / parts
    ids = [str(formula_of(elements, row)) for row in rows]
    return Pool(ids, rows, elements, {name: {"formula": name} for name in ids})


def simulated_laboratory(context: OracleContext) -> "SimulatedLaboratory":
    """Answer like a laboratory: queues, plates, working hours, failures, and a hidden truth.

    Options: ``truth`` (table, see `physics.laboratory_truth.hidden_truth`; with a ``seed`` that fidelities share),
    ``seed`` (of what happens), ``failures`` (tables by the keys of `FAILURES`), ``instrument``, ``platform`` (fields of
    the records of these names), ``recipe`` (``kelvin``, ``minutes``, ``atmosphere``, ``vessel``,
    ``contact_materials``), ``stations`` (fields of `Station` to change, by the station's name), ``attempts`` (for each
    sample), ``operators``.

    Raises:
        CampaignFileError: an option is unknown or has a wrong value.
        MissingExtraError: pymatgen is not installed.
    """
    from physics.laboratory_truth import drawn, drawn_unmakable, hidden_truth

    options, place = context.fidelity.options, _place(context.fidelity)
    refuse_unknown(options, OPTIONS, place)
    source = _table(options, "truth", place)
    seed = _whole(source, "seed", 0, place)
    value = drawn(hidden_truth(context.pool, source, place), seed)
    truth = truth_of(context.pool, value, seed)
    laboratory = Laboratory(
        seed=_seed(_whole(options, "seed", 0, place), context.fidelity.name),
        truth=dataclasses.replace(truth, unmakable=drawn_unmakable(context.pool, source, place, seed)),
        recipe=_recipes(context.pool, _table(options, "recipe", place), place),
        instrument=instrument_of(context.fidelity),
        line=line_of(context.fidelity),
        platform=_platform(_table(options, "platform", place), place),
        failures=failures_of(context.fidelity),
    )
    file = context.directory / "laboratory" / f"{context.fidelity.name}.jsonl"
    return SimulatedLaboratory(context.fidelity.name, laboratory, file)


@dataclass
class SimulatedLaboratory:
    """Answers queries when its event simulation says so.

    The journal holds what was submitted and when; all else follows from it, so that nothing is lost by a crash.

    Attributes:
        name: of the fidelity.
        laboratory: what happens there.
        journal: file of the submissions, one JSON line each.
    """

    name: str
    laboratory: Laboratory
    journal: Path
    _minute: int = BEGINS
    _arrivals: list[Arrival] = field(default_factory=list)
    _open: dict[str, Query] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)
    _answers: list[Answer] | None = None

    def __post_init__(self) -> None:
        """Take up what was submitted before; a line that was cut off was never acknowledged."""
        text = self.journal.read_bytes() if self.journal.exists() else b""
        whole = text[: text.rfind(b"\n") + 1]
        if whole != text:
            # Cut, not written anew: what stands must survive a crash in the middle of this, too.
            os.truncate(self.journal, len(whole))
        self._arrivals = [Arrival(**json.loads(line)) for line in whole.splitlines()]

    def advance(self, hours: float) -> None:
        """Move on to this time on the campaign's clock."""
        self._minute = max(self._minute, BEGINS + round(60.0 * hours))

    def submit(self, queries: Sequence[Query]) -> Sequence[JobId]:
        """Hand samples in now, unless they were before."""
        known = {arrival.sample for arrival in self._arrivals}
        new = [Arrival(query.candidate, self._minute) for query in queries if query.candidate not in known]
        self._write(new)
        self._arrivals += new
        self._open |= {query.key: query for query in queries if query.key not in self._seen}
        self._seen |= {query.key for query in queries}
        self._answers = None if new else self._answers
        return [query.key for query in queries]

    def collect(self) -> Sequence[Observation]:
        """Return the answers that have come by now."""
        due = {a.sample: a for a in self._simulated() if a.minute <= self._minute}
        ready = [query for query in self._open.values() if query.candidate in due]
        for query in ready:
            del self._open[query.key]
        return [self._observation(due[query.candidate]) for query in ready]

    def due_hours(self) -> Mapping[str, float]:
        """Return when each open query will be answered if nothing else is submitted."""
        minute = {answer.sample: answer.minute for answer in self._simulated()}
        return {key: (minute[query.candidate] - BEGINS) / 60.0 for key, query in self._open.items()}

    def running(self) -> Sequence[str]:
        """Name the samples in the laboratory and the day on which they will be done."""
        due = self.due_hours()
        return [f"{query.candidate}, done on day {1 + int(60 * due[key] + BEGINS) // DAY}"
                for key, query in self._open.items()]  # fmt: skip

    def close(self) -> None:
        """Nothing to release."""

    def hidden_truth(self) -> Mapping[str, float]:
        """Return what faultless samples would measure, for scoring only; nothing of materials that cannot be made."""
        return {name: value for name, value in self.laboratory.truth.value.items() if self.laboratory.can_make(name)}

    def paid_cents(self) -> int:
        """Return the laboratory's own cash book: all steps of all samples that have left by now."""
        return sum(answer.cost_cents for answer in self._simulated() if answer.minute <= self._minute)

    def _simulated(self) -> list[Answer]:
        if self._answers is None:
            self._answers = self.laboratory.answers(self._arrivals)
        return self._answers

    def _observation(self, answer: Answer) -> Observation:
        sd = self.laboratory.instrument.sd / self.laboratory.instrument.readings**0.5
        noise = None if answer.value is None else sd
        price = answer.cost_cents / 100
        return Observation(answer.sample, self.name, answer.value, noise, price, answer.failure, answer.details)

    def _write(self, arrivals: Sequence[Arrival]) -> None:
        if not arrivals:
            return
        self.journal.parent.mkdir(parents=True, exist_ok=True)
        with self.journal.open("a", encoding="utf-8") as file:
            file.write("".join(json.dumps(dataclasses.asdict(arrival)) + "\n" for arrival in arrivals))
            file.flush()
            os.fsync(file.fileno())


def truth_of(pool: Pool, value: np.ndarray, seed: int) -> Truth:
    """Return the hidden truth of a pool; materials are hard to make along a direction that the seed draws."""
    along = pool.features @ np.random.default_rng(seed).normal(size=pool.features.shape[1])
    rank = along.argsort().argsort() / max(len(pool) - 1, 1)
    spread = float(value.std())
    return Truth(
        value=dict(zip(pool.ids, value.tolist(), strict=True)),
        mistaken_for=nearest_lattices(pool),
        rank=dict(zip(pool.ids, rank.tolist(), strict=True)),
        per_unreacted=-2.0 * spread,
        per_impurity=-5.0 * spread,
    )


def nearest_lattices(pool: Pool) -> dict[str, str]:
    """Return what each material is mistaken for: peaks overlap where mean atomic radii are alike."""
    radius = np.array([_mean_radius(pool.formula(name)) for name in pool.ids])
    apart = np.abs(radius[:, None] - radius) + np.diag(np.full(len(pool), np.inf))
    return {name: pool.ids[int(row.argmin())] for name, row in zip(pool.ids, apart, strict=True)}


def _mean_radius(formula: str) -> float:
    from pymatgen.core import Element

    parsed = Formula.parse(formula)
    return (
        sum(n * float(Element(symbol).atomic_radius or np.nan) for symbol, n in parsed.amounts.items()) / parsed.atoms
    )


def failures_of(fidelity: Fidelity) -> Failures:
    """Return the failures that a fidelity's options switch on.

    Raises:
        CampaignFileError: a kind or one of its fields is unknown or missing.
    """
    place = _place(fidelity)
    tables = _table(fidelity.options, "failures", place)
    refuse_unknown(tables, tuple(FAILURES), f"{place}: failures")
    return Failures(**{name: _record(FAILURES[name], table, place) for name, table in tables.items()})


def instrument_of(fidelity: Fidelity) -> Instrument:
    """Return the instrument that a fidelity's options describe; its readings err as the fidelity declares.

    Raises:
        CampaignFileError: a field is unknown or has a wrong value.
    """
    place = _place(fidelity)
    return _record(Instrument, {"sd": fidelity.noise_sd, **_table(fidelity.options, "instrument", place)}, place)


def elemental_recipe(formula: str, kelvin: float, minutes: float, atmosphere: str, vessel: str,
                     contact_materials: Sequence[str] = ()) -> Recipe:  # fmt: skip
    """Return the recipe that makes a formula of its elements; its atoms are those of the product.

    Raises:
        CampaignFileError: the atoms do not balance.
    """
    parsed = Formula.parse(formula)
    share = {symbol: n * Formula({symbol: 1.0}).mass / parsed.mass for symbol, n in parsed.amounts.items()}
    verdict = recipe_verdict(
        Balanced(tuple(Weighed(symbol, SAMPLE_MG * part / 1e3) for symbol, part in share.items()), formula), BALANCED
    )
    if not verdict.admits:
        raise CampaignFileError(f"the recipe of {formula} does not balance: {verdict.reasons}")
    precursors = tuple(Precursor(symbol, SAMPLE_MG * part) for symbol, part in share.items())
    heating, cooling = (Ramp(kelvin, 300.0),), (Ramp(300.0, 600.0),)
    return Recipe(formula, precursors, heating, minutes, cooling, atmosphere, vessel, tuple(contact_materials))


def _recipes(pool: Pool, table: Mapping[str, Any], place: str) -> Any:
    usual = {"kelvin": 1400.0, "minutes": 480.0, "atmosphere": "Ar", "vessel": "alumina crucible"}
    refuse_unknown(table, (*usual, "contact_materials"), f"{place}: recipe")
    formulas = {name: pool.formula(name) for name in pool.ids}
    made: dict[str, Recipe] = {}

    def recipe(sample: str) -> Recipe:
        if sample not in made:
            made[sample] = elemental_recipe(formulas[sample], **{**usual, **table})
        return made[sample]

    return recipe


def line_of(fidelity: Fidelity) -> Line:
    """Return the line that a fidelity's options describe.

    Raises:
        CampaignFileError: a station or one of its fields is unknown or has a wrong value.
    """
    options, place = fidelity.options, _place(fidelity)
    changes: dict[str, Any] = {
        name: _whole(options, name, getattr(USUAL_LINE, name), place) for name in ("attempts", "operators")
    }
    tables = _table(options, "stations", place)
    refuse_unknown(tables, tuple(one.name for one in USUAL_LINE.stations), f"{place}: stations")
    changes["stations"] = tuple(
        _record(Station, {**dataclasses.asdict(one), **tables.get(one.name, {})}, place) for one in USUAL_LINE.stations
    )
    try:
        return dataclasses.replace(USUAL_LINE, **changes)
    except ValueError as error:
        raise CampaignFileError(f"{place}: {error}") from error


def _platform(table: Mapping[str, Any], place: str) -> Platform:
    sets = {"reactive": frozenset(table["reactive"])} if "reactive" in table else {}
    return _record(Platform, {**table, **sets}, place)


def _record(kind: type[Record], table: Mapping[str, Any], place: str) -> Record:
    """Return a record from a table of its fields."""
    refuse_unknown(table, tuple(f.name for f in dataclasses.fields(kind)), f"{place}: {kind.__name__}")  # pyright: ignore
    try:
        return kind(**table)
    except (TypeError, ValueError) as error:
        raise CampaignFileError(f"{place}: {error}; give all fields, as numbers in their units") from error


def _place(fidelity: Fidelity) -> str:
    return f"fidelity {fidelity.name!r}"


def _table(options: Mapping[str, Any], key: str, place: str) -> dict[str, Any]:
    value = options.get(key, {})
    if not isinstance(value, Mapping):
        raise CampaignFileError(f"{place}: options.{key}={value!r}: use a table")
    return dict(value)


def _whole(options: Mapping[str, Any], key: str, default: int, place: str) -> int:
    value = options.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise CampaignFileError(f"{place}: {key}={value!r}: use a whole number, 0 or more")
    return value


def _seed(seed: int, name: str) -> int:
    """Return a seed of its own for each fidelity."""
    return int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:6], "big")

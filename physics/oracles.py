"""The entry points: a pool of measured intermetallics; CHGNet, GPAW and replayed measurements as oracles of mfal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from typing import Any

import numpy as np

from mfal.errors import CampaignFileError, OracleError
from mfal.oracle import JobId, Observation, OracleContext, Query, need_package
from mfal.space.features import composition_descriptors
from mfal.space.pool import Pool
from physics.dft.errors import MissingLibxcError
from physics.dft.formation import SINGLE_POINT, formation_plan
from physics.dft.prices import learnt, work_of
from physics.dft.settings import FUNCTIONALS, SETTINGS, require_functional
from physics.experiment.replay import MeasuredCompound, measured_compounds
from physics.formation_oracle import FormationOracle, Known, RefusedQueryError
from physics.mlip import formation
from physics.mlip.weights import RELEASES
from physics.oracle_options import dft_queue, geometry_source, local_queue, rate_of, refuse_unknown, structure_known
from physics.prototypes import PLAUSIBLE, PROTOTYPES
from physics.queue.job import Job
from physics.queue.local_queue import LIMIT_SECONDS
from physics.queue.result_cache import ResultCache
from physics.queue.settings import settings_from
from physics.thermodynamics.formation_energy import FormationPlan

PAST_RESULTS = 500  # that are looked through for calculations to learn times from


def measured_intermetallics(options: Mapping[str, Any]) -> Pool:
    """Build the pool of measured 1:1 intermetallics.

    Args:
        options: ``limit`` (number of candidates, chemically spread) and ``include`` (formulas that must be among them).

    Raises:
        CampaignFileError: an option is unknown or has a wrong value.
        MissingExtraError: pymatgen is not installed.
    """
    refuse_unknown(options, ("limit", "include"), "candidates")
    need_package("pymatgen", "mlip")
    compounds = {compound.formula: compound for compound in measured_compounds()}
    limit, include = options.get("limit", len(compounds)), list(options.get("include", []))
    unknown = sorted(set(include) - set(compounds))
    if unknown:
        raise CampaignFileError(
            f"candidates.include: {unknown=} are not in the measured table; known: {sorted(compounds)}"
        )
    if not isinstance(limit, int) or isinstance(limit, bool) or not max(1, len(include)) <= limit <= len(compounds):
        raise CampaignFileError(
            f"candidates.limit={limit!r}: use an integer from {max(1, len(include))} to {len(compounds)}"
        )
    descriptors, columns = composition_descriptors(list(compounds))
    rows = _spread(descriptors, limit, [list(compounds).index(formula) for formula in include])
    ids = [list(compounds)[row] for row in rows]
    return Pool(ids, descriptors[rows], columns, {name: {"elements": list(compounds[name].elements)} for name in ids})


def chgnet(context: OracleContext) -> "FormationOracle":
    """Answer with CHGNet's formation energy of the lowest prototype.

    Options: ``prototypes`` (names, default `physics.prototypes.PLAUSIBLE`), ``weights`` (default ``0.3.0``).

    Raises:
        CampaignFileError: an option is unknown or has a wrong value.
        MissingExtraError: chgnet, torch, ase or pymatgen is not installed.
    """
    options, place = context.fidelity.options, f"fidelity {context.fidelity.name!r}"
    refuse_unknown(options, ("prototypes", "weights"), place)
    prototypes = _several(options, "prototypes", PLAUSIBLE, PROTOTYPES, place)
    weights = _one(options, "weights", "0.3.0", RELEASES, place)
    for package in ("ase", "pymatgen", "torch", "chgnet"):
        need_package(package, "mlip")
    common = {
        "weights": weights,
        "chgnet": version("chgnet"),
        "torch": version("torch"),
        "revision": formation.REVISION,
    }

    kind = "physics.mlip.formation:chgnet_jobs[]"

    def plan(query: Query) -> FormationPlan:
        elements = _elements(context, query)
        references = tuple(
            Job(kind, {"element": symbol, **common}, f"{query.fidelity} element {symbol}") for symbol in elements
        )
        compound = {"elements": elements, "prototypes": prototypes, **common}
        equal = (1 / len(elements),) * len(elements)
        return FormationPlan(Job(kind, compound, f"{query.fidelity} {query.candidate}"), references, equal)

    return FormationOracle(local_queue(context), plan, _describe_chgnet, together=True)


def gpaw(context: OracleContext) -> "FormationOracle":
    """Answer with GPAW's formation energy at the geometry that another fidelity found.

    Options: ``settings`` (a protocol of `physics.dft.settings.SETTINGS`, default ``moderate``), ``functional`` (LDA,
    PBE, the default, or r2SCAN: each is a fidelity of its own), ``geometry_from`` (a fidelity whose observation carries
    ``details["structure"]``; default ``chgnet``), ``relax_volume`` (scale compound and elements to their lowest energy;
    default false), ``rate_eur_per_core_hour`` (then the measured core-hours are paid, not the fidelity's price).

    Raises:
        CampaignFileError: an option is unknown or has a wrong value, or GPAW lacks the functional.
        MissingExtraError: gpaw, gpaw-data, ase or pymatgen is not installed.
    """
    options, place = context.fidelity.options, f"fidelity {context.fidelity.name!r}"
    known = ("settings", "functional", "geometry_from", "relax_volume", "rate_eur_per_core_hour")
    refuse_unknown(options, known, place)
    protocol = _one(options, "settings", "moderate", SETTINGS, place)
    functional = _one(options, "functional", "PBE", FUNCTIONALS, place)
    geometry_from, relax_volume = geometry_source(context, place), options.get("relax_volume", False)
    if not isinstance(relax_volume, bool):
        raise CampaignFileError(f"{place}: options.relax_volume={relax_volume!r}: use true or false")
    rate = rate_of(context, place)
    for package, extra in (("ase", "dft"), ("gpaw", "dft"), ("gpaw_data", "dft"), ("spglib", "mlip")):
        need_package(package, extra)
    try:
        require_functional(functional)
    except MissingLibxcError as error:
        raise CampaignFileError(f"{place}: options.functional={functional!r}: {error}") from error
    versions = {"gpaw": version("gpaw"), "setups": version("gpaw-data")}
    limit_seconds = _limit_seconds(context)
    past, work = ResultCache(context.cache), {}
    costs = cache(lambda: learnt(past.latest(SINGLE_POINT, PAST_RESULTS), functional))

    def core_seconds(known: Known) -> dict[str, float]:
        geometries = {name: details[geometry_from]["structure"] for name, details in known.items()
                      if name not in work and "structure" in details.get(geometry_from, {})}  # fmt: skip
        for name, structure in geometries.items():
            work[name] = work_of(formation_plan(structure, protocol, functional, relax_volume).compound.spec)
        costs.cache_clear()  # there may be more past jobs than before
        return {name: costs().seconds_of(amount) for name, amount in work.items() if amount}

    def plan(query: Query) -> FormationPlan:
        structure = structure_known(query, geometry_from)
        payer = f"{context.directory.resolve()} {query.key}" if rate is not None else ""
        found = formation_plan(structure, protocol, functional, relax_volume, versions, payer)
        seconds = costs().seconds(found.compound.spec)
        if seconds > limit_seconds:
            raise RefusedQueryError(
                f"{query.candidate} would take about {seconds:.3g} s, more than the {limit_seconds:.3g} s that a job "
                "may: raise [dft.queue] walltime_minutes, or take coarser settings"
            )
        return found

    return FormationOracle(dft_queue(context), plan, _describe_gpaw, False, rate, core_seconds)


def measured(context: OracleContext) -> "ReplayOracle":
    """Answer with the measured formation energy of the table: a replay of finished calorimetry. No options.

    Raises:
        CampaignFileError: an option is given.
        MissingExtraError: pymatgen is not installed.
    """
    refuse_unknown(context.fidelity.options, (), f"fidelity {context.fidelity.name!r}")
    need_package("pymatgen", "mlip")
    wanted = set(context.pool.ids)
    return ReplayOracle({item.formula: item for item in measured_compounds() if item.formula in wanted})


@dataclass
class ReplayOracle:
    """Answers from a table of finished measurements, at once; the campaign's clock adds the turn-around.

    Attributes:
        table: measurements by candidate.
    """

    table: Mapping[str, MeasuredCompound]
    _open: dict[str, Query] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)

    def submit(self, queries: Sequence[Query]) -> Sequence[JobId]:
        """Note the queries that are new to this oracle."""
        self._open |= {query.key: query for query in queries if query.key not in self._seen}
        self._seen |= {query.key for query in queries}
        return [query.key for query in queries]

    def collect(self) -> Sequence[Observation]:
        """Return the measured values; a candidate without one is a failed measurement."""
        queries, self._open = self._open, {}
        return [self._observe(query) for query in queries.values()]

    def running(self) -> Sequence[str]:
        """Nothing runs: the measurements are finished."""
        return []

    def close(self) -> None:
        """Nothing to release."""

    def hidden_truth(self) -> Mapping[str, float]:
        """Return every measured value, eV/atom."""
        return {name: item.formation_energy_ev_per_atom for name, item in self.table.items()}

    def _observe(self, query: Query) -> Observation:
        item = self.table.get(query.candidate)
        if item is None:
            text = f"{query.candidate} has no measured formation energy in the table"
            return Observation(query.candidate, query.fidelity, None, None, query.price_eur, text)
        details = {"source": "pymatgen exp_compounds.json.gz (replay)"}
        value, error = item.formation_energy_ev_per_atom, item.uncertainty_ev_per_atom
        return Observation(query.candidate, query.fidelity, value, error, query.price_eur, None, details)


def _describe_chgnet(answers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    kept = ("structure", "prototype", "space_group", "prototypes", "steps", "energy_ev_per_atom")
    return {key: answers[0][key] for key in kept}


def _describe_gpaw(answers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    kept = (
        "energy_ev_per_atom",
        "moment_mub",
        "kpoints",
        "iterations",
        "attempts",
        "volume_factor",
        "settings",
        "gpaw",
        "setups",
        "atoms",
        "electrons",
        "cores",
        "moment_collapsed",
        "retries",
        "smearing_ev",
        "node",
    )
    details = {key: answers[0][key] for key in kept if key in answers[0]}
    return details | {"seconds": round(answers[0]["seconds"], 2)}


def _limit_seconds(context: OracleContext) -> float:
    """Return how long a job may compute: AiiDA's batches have a walltime, worker processes their alarm."""
    if context.queue.get("engine", "local") == "local":
        return LIMIT_SECONDS
    return min(LIMIT_SECONDS, float(settings_from(context.queue).walltime_seconds))


def _elements(context: OracleContext, query: Query) -> list[str]:
    try:
        return list(context.pool.payload[query.candidate]["elements"])
    except KeyError as error:
        raise OracleError(f"{query.key}: the pool's payload names no elements for this candidate") from error


def _spread(descriptors: np.ndarray, count: int, start: list[int]) -> list[int]:
    """Choose rows far from one another, each the farthest from those before it; return them in their own order."""
    scale = descriptors.std(axis=0)
    rows = (descriptors - descriptors.mean(axis=0)) / np.where(scale > 0, scale, 1.0)
    chosen = list(dict.fromkeys(start)) or [int(np.argmin(np.linalg.norm(rows, axis=1)))]
    while len(chosen) < count:
        gaps = np.linalg.norm(rows[:, None] - rows[chosen], axis=2).min(axis=1)
        gaps[chosen] = -1.0
        chosen.append(int(np.argmax(gaps)))
    return sorted(chosen)


def _one(options: Mapping[str, Any], key: str, default: str, allowed: Mapping[str, Any], place: str) -> str:
    value = options.get(key, default)
    if not isinstance(value, str) or value not in allowed:
        raise CampaignFileError(f"{place}: options.{key}={value!r}: use one of {sorted(allowed)}")
    return value


def _several(
    options: Mapping[str, Any], key: str, default: Sequence[str], allowed: Mapping[str, Any], place: str
) -> list[str]:
    values = options.get(key, default)
    listed = isinstance(values, Sequence) and not isinstance(values, str) and len(values) > 0
    if not listed or any(not isinstance(value, str) or value not in allowed for value in values):
        raise CampaignFileError(f"{place}: options.{key}={values!r}: use a list of {sorted(allowed)}")
    return list(dict.fromkeys(values))

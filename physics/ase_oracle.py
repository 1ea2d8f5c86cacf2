"""The entry point of other codes: formation energies by whatever `physics.dft.other_codes` may run through ASE."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mfal.errors import CampaignFileError
from mfal.oracle import OracleContext, Query, need_package
from physics.dft.errors import CalculatorError
from physics.dft.other_codes import CODES, Code, checked, digests, version_of, without_data
from physics.dft.other_formation import other_formation_plan
from physics.dft.settings import MODERATE
from physics.formation_oracle import FormationOracle
from physics.oracle_options import dft_queue, geometry_source, rate_of, refuse_unknown, structure_known
from physics.thermodynamics.formation_energy import FormationPlan

KNOWN = ("calculator", "options", "k_length_a", "geometry_from", "rate_eur_per_core_hour")


def ase(context: OracleContext) -> FormationOracle:
    """Answer with another code's formation energy at the geometry that another fidelity found.

    Options: ``calculator`` (key of `physics.dft.other_codes.CODES`), ``options`` (of that code, without ``kpts``),
    ``k_length_a`` (density of the meshes, as in `physics.dft.mesh`; default that of the protocol ``moderate``),
    ``geometry_from`` (a fidelity whose observation carries ``details["structure"]``; default ``chgnet``),
    ``rate_eur_per_core_hour`` (then the measured core-hours are paid, not the fidelity's price).

    Raises:
        CampaignFileError: an option is unknown or has a wrong value, the code is not installed, or an element of the
            pool has no data.
        MissingExtraError: ase or spglib is not installed.
    """
    options, place = context.fidelity.options, f"fidelity {context.fidelity.name!r}"
    refuse_unknown(options, KNOWN, place)
    for package, extra in (("ase", "dft"), ("spglib", "mlip")):
        need_package(package, extra)
    source, rate, k_length_a = geometry_source(context, place), rate_of(context, place), _k_length_a(options, place)
    code, given = _code(options, place)
    _refuse_uncovered(context, code, given, place)
    common = {"calculator": options["calculator"], "options": given, "version": version_of(code)}
    common |= {"data": digests(code, given)} if code.data else {}
    density = k_length_a if "kpts" in code.options else None

    def plan(query: Query) -> FormationPlan:
        payer = f"{context.directory.resolve()} {query.key}" if rate is not None else ""
        return other_formation_plan(structure_known(query, source), common, density, payer)

    return FormationOracle(dft_queue(context), plan, _describe, together=False, rate_eur_per_core_hour=rate)


def _code(options: Mapping[str, Any], place: str) -> tuple[Code, dict[str, Any]]:
    """Return the code and its options, the folder of its data as an absolute path: jobs run elsewhere."""
    name, given = options.get("calculator"), options.get("options", {})
    if not isinstance(name, str) or not isinstance(given, Mapping):
        raise CampaignFileError(f"{place}: options.calculator={name!r}, options.options={given!r}: use a name, a table")
    if "kpts" in given:
        raise CampaignFileError(f"{place}: options.options.kpts: each cell has a mesh of its own; use k_length_a")
    here = {"pseudo_dir": str(Path(str(given["pseudo_dir"])).expanduser().resolve())} if "pseudo_dir" in given else {}
    mesh = {"kpts": [1, 1, 1]} if "kpts" in getattr(CODES.get(name), "options", ()) else {}  # the plan's own follow
    try:
        return checked(name, {**given, **here, **mesh}), {**given, **here}
    except CalculatorError as error:
        raise CampaignFileError(f"{place}: {error}") from error


def _refuse_uncovered(context: OracleContext, code: Code, given: Mapping[str, Any], place: str) -> None:
    """Refuse a pool with elements without data: their answers would all be failures."""
    elements = {name: context.pool.payload.get(name, {}).get("elements", []) for name in context.pool.ids}
    lacking = without_data(code, given, {symbol for symbols in elements.values() for symbol in symbols})
    if lacking:
        without = sorted(name for name, symbols in elements.items() if set(symbols) & set(lacking))
        raise CampaignFileError(
            f"{place}: options.options.{code.data} names no file for {lacking}; add them, or leave {without} out of "
            "the candidates"
        )


def _k_length_a(options: Mapping[str, Any], place: str) -> float:
    value = options.get("k_length_a", MODERATE.k_length_a)
    if not isinstance(value, int | float) or isinstance(value, bool) or not value > 0:
        raise CampaignFileError(f"{place}: options.k_length_a={value!r}: use a length in angstrom, as 25.0")
    return float(value)


def _describe(answers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    kept = ("energy_ev_per_atom", "moment_mub", "kpoints", "settings", "atoms", "cores", "node")
    details = {key: answers[0][key] for key in kept if key in answers[0]}
    return details | {"seconds": round(answers[0]["seconds"], 2)}

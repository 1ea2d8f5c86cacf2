"""Structures of calculations as an OPTIMADE response (specification 1.2, section 'structures entries').

Attributes are made here and validated by optimade's models: its adapters import AiiDA where that is installed, which
makes a folder in the user's home. Import this module only where optimade is installed.
"""

import itertools
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from math import gcd
from typing import TYPE_CHECKING, Any

from optimade import __api_version__
from optimade.models import StructureResource, StructureResponseMany

from physics.documents.calculation import Calculation, Link

if TYPE_CHECKING:
    from ase import Atoms

PREFIX = "_mfal_"
_PROVIDER = {"name": "mfal", "description": "Structures that a campaign has paid for", "prefix": "mfal"}


def resource(calculation: Calculation, atoms: "Atoms", links: Sequence[Link]) -> StructureResource:
    """Return a validated entry whose id is the calculation's content hash; own attributes begin with `PREFIX`."""
    attributes = {
        "immutable_id": calculation.key,
        "last_modified": calculation.stored_at.isoformat(),
        **_composition(atoms),
        **_geometry(atoms),
        **_own(calculation, links),
    }
    return StructureResource.model_validate({"id": calculation.key, "type": "structures", "attributes": attributes})


def response(resources: Sequence[StructureResource], campaign: str, version: str) -> str:
    """Return the JSON text of a validated response.

    Args:
        resources: the entries.
        campaign: name, for people.
        version: of mfal.
    """
    meta = {
        "query": {"representation": "/structures"},
        "api_version": __api_version__,
        "more_data_available": False,
        "data_returned": len(resources),
        "provider": _PROVIDER,
        "implementation": {"name": "mfal", "version": version},
        f"{PREFIX}campaign": campaign,
    }
    return StructureResponseMany.model_validate({"data": resources, "meta": meta}).model_dump_json(exclude_unset=True)


def _composition(atoms: "Atoms") -> dict[str, Any]:
    counts = Counter(atoms.symbols)
    elements, divisor = sorted(counts), gcd(*counts.values())
    reduced = {symbol: counts[symbol] // divisor for symbol in elements}
    return {
        "elements": elements,
        "nelements": len(elements),
        "elements_ratios": [counts[symbol] / len(atoms) for symbol in elements],
        "chemical_formula_descriptive": _formula(counts, elements),
        "chemical_formula_reduced": _formula(reduced, elements),
        "chemical_formula_anonymous": _anonymous(list(reduced.values())),
    }


def _geometry(atoms: "Atoms") -> dict[str, Any]:
    periodic = [int(axis) for axis in atoms.pbc]
    symbols = list(atoms.symbols)
    return {
        "dimension_types": periodic,
        "nperiodic_dimensions": sum(periodic),
        "lattice_vectors": atoms.cell.array.tolist(),
        "cartesian_site_positions": atoms.positions.tolist(),
        "nsites": len(atoms),
        "species": [{"name": one, "chemical_symbols": [one], "concentration": [1.0]} for one in sorted(set(symbols))],
        "species_at_sites": symbols,
        "structure_features": [],
    }


def _own(calculation: Calculation, links: Sequence[Link]) -> dict[str, Any]:
    own = {
        "code": calculation.code,
        "code_version": calculation.version,
        "settings": calculation.settings,
        "setups_version": calculation.setups,
        "energy_ev_per_atom": calculation.energy_ev_per_atom,
        "failure": calculation.failure,
        "node": calculation.node,
        "observations": [asdict(link) for link in links],
    }
    return {f"{PREFIX}{name}": value for name, value in own.items()}


def _formula(counts: dict[str, int], elements: Sequence[str]) -> str:
    return "".join(f"{symbol}{counts[symbol] if counts[symbol] > 1 else ''}" for symbol in elements)


def _anonymous(counts: Sequence[int]) -> str:
    """Return the formula with letters A, B, ... Z, Aa, Ba, ... for elements by falling count."""
    letters = (first + second for second in ("", *string.ascii_lowercase) for first in string.ascii_uppercase)
    ordered = sorted(counts, reverse=True)
    named = dict(zip(itertools.islice(letters, len(ordered)), ordered, strict=True))
    return _formula(named, list(named))

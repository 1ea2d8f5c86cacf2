"""Energies above the hull of a screening: of one model alone, so that its errors cancel as far as they do.

The hull is of all structures of the table that were answered: those screened, the references, and the ground state of
every element among them, relaxed by the same model. Energies are as the model gives them, without corrections. What was
relaxed and did not converge is no phase and has no energy above the hull.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from physics.mlip.potential import Outcome
from physics.screening.journal import read_rows, rewrite
from physics.screening.rows import HULL_COLUMNS, Row, has_frame
from physics.structures import Named

ELEMENT = "element:"  # names of the elements' rows begin with this


@dataclass(frozen=True)
class _Phase:
    name: str
    counts: Mapping[str, int]
    energy_ev_per_atom: float


def missing_elements(table: Path) -> Iterator[Named]:
    """Yield the ground-state structures of the elements of a table, as far as they are known."""
    from physics.prototypes import elemental_reference

    for symbol in sorted({symbol for phase in _phases(read_rows(table)) for symbol in phase.counts}):
        try:
            atoms = elemental_reference(symbol)
        except ValueError:  # none is known; a reference may be among the structures
            continue
        yield Named(f"{ELEMENT}{symbol}", atoms)


def write_hulls(table: Path) -> str:
    """Fill in energies above the hull and decompositions; return what the hull is of, and what it leaves out.

    Raises:
        HullError: the hull came out wrong.
        ScreeningError: the table cannot be written.
    """
    phases = list(_phases(read_rows(table)))
    kept, left_out = _with_references(phases)
    found = _hulls(kept)
    blank = dict.fromkeys(HULL_COLUMNS, "")
    rewrite(table, lambda row: {**row, **blank, **found.get(row["name"], {})})
    return f"hull: {len(kept)} phases, energies of this model alone and uncorrected, elements relaxed by it{left_out}"


def forget_hulls(table: Path) -> None:
    """Blank what depends on all rows, before there are more."""
    rewrite(table, lambda row: {**row, **dict.fromkeys(HULL_COLUMNS, "")})


def _phases(rows: Iterable[Row]) -> Iterator[_Phase]:
    from ase.formula import Formula

    for row in rows:
        if has_frame(row) and row["outcome"] in ("", Outcome.CONVERGED):
            yield _Phase(row["name"], Formula(row["formula"]).count(), float(row["energy_ev_per_atom"]))


def _with_references(phases: list[_Phase]) -> tuple[list[_Phase], str]:
    """Return the phases that a hull can be built of, and what is to be said of the others."""
    from physics.thermodynamics.hull import MAX_ELEMENTS

    elements = {symbol for phase in phases if len(phase.counts) == 1 for symbol in phase.counts}
    missing = sorted({symbol for phase in phases for symbol in phase.counts} - elements)
    kept = [phase for phase in phases if elements.issuperset(phase.counts) and len(phase.counts) <= MAX_ELEMENTS]
    if not (left := len(phases) - len(kept)):
        return kept, ""
    why = f"no energy of the element {', '.join(missing)}, give its ground state with --references" if missing else ""
    many = f"more than {MAX_ELEMENTS} elements" if any(len(phase.counts) > MAX_ELEMENTS for phase in phases) else ""
    return kept, f"; not of {left} others ({'; '.join(reason for reason in (why, many) if reason)})"


def _hulls(phases: list[_Phase]) -> dict[str, Row]:
    from ase.formula import Formula

    from physics.thermodynamics.hull import Entry, build_hulls

    formulas = [str(Formula.from_dict(dict(phase.counts)).reduce()[0].convert("metal")) for phase in phases]
    entries = [
        Entry(formula, phase.energy_ev_per_atom, formula) for formula, phase in zip(formulas, phases, strict=True)
    ]
    hulls = build_hulls(entries)
    values = zip(hulls.energies_above().tolist(), hulls.decompositions(), strict=True)
    return {
        phase.name: dict(zip(HULL_COLUMNS, (f"{energy:.8g}", text), strict=True))
        for phase, (energy, text) in zip(phases, values, strict=True)
    }

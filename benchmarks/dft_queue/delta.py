"""Equations of state of elements by GPAW beside WIEN2k's: ``python -m benchmarks.dft_queue.delta [ELEMENT ...]``.

Protocol of Lejaeghere et al., Critical Reviews in Solid State and Materials Sciences 39, 1 (2014): seven volumes
within 6 % of the reference, third-order Birch-Murnaghan, and as Delta the root mean square difference of the two
curves, minima aligned, over that interval. Structures and WIEN2k's PBE values are those that ASE carries.
"""

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.record import UnavailableError, context

if TYPE_CHECKING:
    from ase import Atoms

# Cheap ones of every block; magnetic Fe and Ni, layers (graphite), van der Waals (Ar). Li and Na are left out: the
# symmetry of their stacking of nine layers makes GPAW take a grid seven times as large, minutes a volume.
ELEMENTS = tuple("Be C Mg Al Si Ar K Ca Sc Ti V Fe Ni Cu Zn Ge Sr Y Zr Nb Mo Rh Pd Ag Ir Pt Au Pb".split())
SMOKE = ("Al", "Si")
COLUMNS = ("V0", "WIEN2k", "B0", "WIEN2k", "B1", "WIEN2k", "Delta", "cutoff", "k-points", "s")


def measure(smoke: bool) -> dict[str, Any]:
    """Return the mean Delta of the elements, and each one's values.

    Raises:
        UnavailableError: GPAW is not installed.
    """
    rows = table(SMOKE if smoke else ELEMENTS, "fast" if smoke else "precise")
    return summary(rows)


def table(elements: tuple[str, ...] | list[str], protocol: str) -> list[dict[str, Any]]:
    """Compare elements one by one; an element without an equation of state has ``failure``.

    Raises:
        UnavailableError: GPAW is not installed.
    """
    try:
        import gpaw  # noqa: F401
    except ImportError as error:
        raise UnavailableError("gpaw is not installed: CC=g++ pip install 'mfal[dft]'") from error
    rows = []
    for symbol in elements:
        rows.append(compared(symbol, protocol))
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)  # an hour's table is not lost with its last element
    return rows


def compared(symbol: str, protocol: str) -> dict[str, Any]:
    """Return one element's equation of state, WIEN2k's, and Delta in meV/atom."""
    from physics.dft.equation_of_state import equation_of_state_job
    from physics.prototypes import as_record

    atoms, moments = crystal(symbol)
    spec: dict[str, Any] = {"structure": as_record(atoms), "settings": protocol}
    answer = equation_of_state_job(spec | ({} if moments is None else {"moments_mub": moments}))
    row = {"element": symbol, "protocol": protocol, "seconds": round(answer["seconds"], 1)}
    if "failure" in answer:
        return row | {"failure": answer["failure"]}
    ours = [answer[key] for key in ("volume_a3_per_atom", "bulk_modulus_gpa", "pressure_derivative")]
    return row | {
        "ours": [round(value, 4) for value in ours],
        "wien2k": list(reference(symbol)),
        "delta_mev_per_atom": round(delta_mev_per_atom(ours, reference(symbol)), 3),
        "residual_mev_per_atom": round(1e3 * answer["residual_ev_per_atom"], 4),
        "cutoff_ev": answer["settings"]["cutoff_ev"],
        "kpoints": answer["kpoints"],
        "moment_mub_per_atom": round(answer["moments_mub"][len(answer["moments_mub"]) // 2] / answer["atoms"], 3),
    }


def crystal(symbol: str) -> "tuple[Atoms, list[float] | None]":
    """Return an element's crystal at WIEN2k's volume, primitive unless its moments order, and the moments."""
    from ase.collections import dcdft

    from physics.prototypes import plain, primitive

    given = dcdft[symbol]
    moments = np.array(given.get_initial_magnetic_moments())
    ordered = len(set(moments.tolist())) > 1
    atoms = plain(given) if ordered else primitive(given)
    scale = (reference(symbol)[0] * len(atoms) / atoms.get_volume()) ** (1 / 3)
    atoms.set_cell(atoms.cell * scale, scale_atoms=True)
    if not moments.any():
        return atoms, None
    return atoms, moments.tolist() if ordered else [float(moments[0])] * len(atoms)


def reference(symbol: str) -> tuple[float, float, float]:
    """Return WIEN2k's volume per atom in cubic angstrom, bulk modulus in GPa and its pressure derivative, by PBE."""
    from ase.collections import dcdft

    data = dcdft.data[symbol]
    return data["wien2k_volume"], data["wien2k_B"], data["wien2k_Bp"]


def delta_mev_per_atom(ours: list[float], theirs: tuple[float, float, float]) -> float:
    """Return the root mean square difference of two equations of state, by ASE's integral."""
    from ase.units import GPa
    from ase.utils.deltacodesdft import delta

    (v1, b1, p1), (v2, b2, p2) = ours, theirs
    return 1e3 * float(delta(v1, b1 * GPa, p1, v2, b2 * GPa, p2))


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return mean and worst Delta of the elements that have one, and the rows."""
    deltas = {row["element"]: row["delta_mev_per_atom"] for row in rows if "failure" not in row}
    found: dict[str, Any] = {"delta_elements": len(deltas), "delta_failed": len(rows) - len(deltas), "delta_rows": rows}
    if deltas:  # a figure that was not measured is absent
        worst = max(deltas, key=lambda symbol: deltas[symbol])
        found |= {"delta_mev_per_atom": round(float(np.mean(list(deltas.values()))), 3)}
        found |= {"delta_worst": worst, "delta_worst_mev_per_atom": deltas[worst]}
    return found


def main() -> int:
    """Print the table of the named elements."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dft_queue.delta", description=__doc__)
    parser.add_argument("elements", nargs="*", default=list(ELEMENTS))
    parser.add_argument("--protocol", default="precise")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    options = parser.parse_args()
    rows = table(options.elements, options.protocol)
    shown = Table("element", *COLUMNS, title=f"{options.protocol}: A^3/atom, GPa, meV/atom, eV")
    for row in rows:
        shown.add_row(row["element"], *_cells(row))
    Console(width=140).print(shown)
    if options.json:
        print(json.dumps({"benchmark": "dft.delta", **context(), **summary(rows)}))
    return 0


def _cells(row: dict[str, Any]) -> list[str]:
    if "failure" in row:
        return [row["failure"]]
    pairs = [f"{value:.3f}" for both in zip(row["ours"], row["wien2k"], strict=True) for value in both]
    mesh = "x".join(map(str, row["kpoints"]))
    return [*pairs, f"{row['delta_mev_per_atom']:.2f}", f"{row['cutoff_ev']:g}", mesh, f"{row['seconds']:g}"]


if __name__ == "__main__":
    sys.exit(main())

"""Formation energies of intermetallics by GPAW and CHGNet beside measured ones, through the oracles of a campaign.

``python -m benchmarks.dft_queue.intermetallics [--cache FOLDER]``. CHGNet ranks the 86 equiatomic compounds of
pymatgen's table of measured formation energies; the lowest go to GPAW (PBE, `moderate`) at CHGNet's geometry, as in
the example.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.record import UnavailableError, context
from mfal.fidelity import Fidelity
from mfal.oracle import Observation, Oracle, OracleContext, Query
from mfal.space.pool import Pool

LOWEST, SMOKE_POOL, SMOKE_LOWEST = 20, 5, 2
WORKERS, POLL_SECONDS = 2, 1.0


def measure_intermetallics(smoke: bool, cache: Path | None = None) -> dict[str, Any]:
    """Return mean absolute errors of both potentials over the compounds that CHGNet finds lowest, eV/atom.

    Args:
        smoke: five compounds, two of them by coarse settings.
        cache: folder of finished calculations; None computes all of them.

    Raises:
        UnavailableError: CHGNet or GPAW is not installed.
    """
    from mfal.errors import MissingExtraError
    from physics import oracles

    with tempfile.TemporaryDirectory(prefix="mfal-intermetallics-") as folder:
        directory = Path(folder)
        try:
            pool = oracles.measured_intermetallics({"limit": SMOKE_POOL} if smoke else {})
            place = directory, cache or directory / "cache", pool
            chgnet = oracles.chgnet(_context(*place, "chgnet", {"prototypes": ["B2", "L10"]} if smoke else {}))
            options = {"settings": "fast" if smoke else "moderate", "geometry_from": "chgnet"}
            gpaw = oracles.gpaw(_context(*place, "gpaw", options, ("chgnet",)))
        except MissingExtraError as error:
            raise UnavailableError(str(error)) from error
        screened = _answers(chgnet, [Query(name, "chgnet", 0.001) for name in pool.ids])
        lowest = sorted(screened, key=lambda name: screened[name].value or 0.0)[: SMOKE_LOWEST if smoke else LOWEST]
        queries = [Query(name, "gpaw", 1.0, {"chgnet": screened[name].details}) for name in lowest]
        computed = _answers(gpaw, queries)
        return summary([_row(name, screened[name], computed[name]) for name in lowest])


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the mean absolute errors over the compounds that have all three values, and the rows."""
    good = [row for row in rows if "failure" not in row]
    found: dict[str, Any] = {"intermetallics": len(good), "intermetallics_rows": list(rows)}
    for name, column in (("intermetallics_mae_ev", "pbe"), ("intermetallics_chgnet_mae_ev", "chgnet")):
        errors = [row[column] - row["measured"] for row in good]
        found |= {name: round(float(np.mean(np.abs(errors))), 4)} if errors else {}
        found |= {name.replace("mae", "bias"): round(float(np.mean(errors)), 4)} if errors else {}
    return found


def _row(name: str, screened: Observation, computed: Observation) -> dict[str, Any]:
    from physics import oracles

    known = {item.formula: item for item in oracles.measured_compounds()}[name]
    row = {
        "compound": name,
        "prototype": screened.details["prototype"],
        "measured": round(known.formation_energy_ev_per_atom, 4),
        "uncertainty": known.uncertainty_ev_per_atom and round(known.uncertainty_ev_per_atom, 4),
        "chgnet": round(float(screened.value or 0.0), 4),
    }
    if computed.value is None:
        return row | {"failure": computed.failure}
    return row | {"pbe": round(computed.value, 4), "seconds": computed.details["seconds"]}


def _context(
    directory: Path, cache: Path, pool: Pool, name: str, options: dict[str, Any], requires: tuple[str, ...] = ()
) -> OracleContext:
    fidelity = Fidelity(name, name, 1.0, 0.0, len(pool), 0.0, requires=requires, options=options)
    return OracleContext(directory, cache, fidelity, pool, WORKERS)


def _answers(oracle: Oracle, queries: Sequence[Query]) -> dict[str, Observation]:
    oracle.submit(queries)
    found: dict[str, Observation] = {}
    while len(found) < len(queries):
        found |= {observation.candidate: observation for observation in oracle.collect()}
        time.sleep(POLL_SECONDS)
    oracle.close()
    return found


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dft_queue.intermetallics", description=__doc__)
    parser.add_argument("--cache", type=Path, help="folder of finished calculations (default: compute all)")
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    found = measure_intermetallics(options.smoke, options.cache)
    columns = ("prototype", "measured", "uncertainty", "chgnet", "pbe", "seconds")
    shown = Table("compound", *columns, title="formation energy, eV/atom")
    for row in found["intermetallics_rows"]:
        shown.add_row(row["compound"], *(str(row.get(column, row.get("failure", ""))) for column in columns))
    Console(width=140).print(shown)
    print(json.dumps({"benchmark": "dft.intermetallics", **context(), **found}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

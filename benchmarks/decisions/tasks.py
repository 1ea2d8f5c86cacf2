"""Replayed campaigns: every candidate's answer at every fidelity, known beforehand.

The real tables lie in the folder that the environment variable MFAL_DATA names; descriptors need pymatgen.
A task saved with `save` loads anywhere, without either.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import UnavailableError

INTERMETALLICS = Path(__file__).parent.parent / "data" / "intermetallics.csv"
GAP_WINDOW_EV = (1.6, 2.0)
# Room temperature is recorded as 20, 23, 24 or 25 C.
ROOM_C = (20.0, 25.0)
_TEMPERATURE = r"PROPERTY: Test temperature ($^\circ$C)"
_CRABNET = "https://github.com/anthony-wang/CrabNet/tree/master/data/benchmark_data"
_MPEA = "https://github.com/CitrineInformatics/MPEA_dataset"


class DataMissingError(UnavailableError):
    """A table that a benchmark replays is not on this machine."""


@dataclass(frozen=True)
class Task:
    """A pool with its answers; the target is the last fidelity.

    Attributes:
        name: what reports call it.
        features: standardised descriptors, (candidates, features).
        values: answers, (candidates, fidelities), without noise; NaN is a query that fails and is paid for.
        price_eur: price of one query at each fidelity, in EUR.
        hits: the candidates looked for, (candidates,).
        window: bounds of the target value that make a hit, or None.
        top: number of best candidates that are the hits, or None.
        sign: +1 if the lowest target value is best, -1 if the highest; without meaning for a window.
        goal: the campaign ends when this many hits have been measured at the target.
        initial: candidates answered at every fidelity before the first decision.
    """

    name: str
    features: np.ndarray
    values: np.ndarray
    price_eur: tuple[float, ...]
    hits: np.ndarray
    window: tuple[float, float] | None
    top: int | None
    sign: float
    goal: int
    initial: int

    @property
    def target(self) -> int:
        """Return the index of the fidelity that the decision is about."""
        return self.values.shape[1] - 1


def gap_window() -> Task:
    """Return the search for measured band gaps of 1.6 to 2.0 eV with PBE gaps as the cheap source.

    The tables are joined by atomic fractions, since neither writes formulas in a reduced form. A composition with
    several polymorphs gets the median of their PBE gaps: the measured phase is not recorded, and the median needs
    neither the answer nor a total energy. Compositions measured twice get the median as well.
    """
    return _gap_window()


@cache
def _gap_window() -> Task:
    pbe, measured = _gap_table("mp_gap.csv", "pbe_ev"), _gap_table("expt_gap.csv", "measured_ev")
    joined = measured.join(pbe[["pbe_ev"]], how="inner")
    features, values = _describe(joined["formula"]), joined[["pbe_ev", "measured_ev"]].to_numpy()
    return window_task("gap_window", features, values, (1.0, 300.0))


def window_task(name: str, features: np.ndarray, values: np.ndarray, price_eur: tuple[float, ...]) -> Task:
    """Return a search for ten target values in the gap window."""
    low, high = GAP_WINDOW_EV
    hits = (values[:, -1] >= low) & (values[:, -1] <= high)
    return Task(name, standardise(features), values, price_eur, hits, GAP_WINDOW_EV, None, 1.0, goal=10, initial=10)


def intermetallics() -> Task:
    """Return the search for four of the five most stable intermetallics: CHGNet, GPAW, calorimetry."""
    import pandas as pd

    if not INTERMETALLICS.exists():
        raise DataMissingError(f"{INTERMETALLICS.name} is missing from benchmarks/data: check it out of the repository")
    table = pd.read_csv(INTERMETALLICS, keep_default_na=False, na_values=[""])
    columns = ["chgnet_ev_per_atom", "gpaw_ev_per_atom", "measured_ev_per_atom"]
    features, values = _describe(table["formula"]), table[columns].to_numpy(float)
    return best_task("intermetallics", features, values, (0.001, 1.0, 500.0), top=5, sign=1.0, goal=4, initial=5)


@cache
def alloys() -> Task:
    """Return the search for the strongest alloys at room temperature with hardness (HV) as the cheap source.

    Both are medians over the records of a formula; processing and the kind of test differ between records.
    """
    import pandas as pd

    table = mpea()
    room = table[table[_TEMPERATURE].between(*ROOM_C)]
    hardness = table.groupby("FORMULA")["PROPERTY: HV"].median()
    strength = room.groupby("FORMULA")["PROPERTY: YS (MPa)"].median()
    joined = pd.concat([hardness, strength], axis=1).dropna()
    features, values = _describe(joined.index), joined.to_numpy(float)
    return best_task("alloys", features, values, (20.0, 400.0), top=10, sign=-1.0, goal=5, initial=10)


def mpea() -> Any:
    """Return the records of Citrine's table of multi-principal-element alloys.

    Raises:
        DataMissingError: the table is not on this machine.
    """
    import pandas as pd

    return pd.read_csv(_file("mpea.csv", _MPEA))


def mpea_hardness() -> list[tuple[str, float]]:
    """Return the measured records of alloy hardness: formula and HV, several for some formulas."""
    table = mpea().dropna(subset=["PROPERTY: HV"])
    columns: Any = table["FORMULA"], table["PROPERTY: HV"]
    return [(str(name).replace(" ", ""), float(value)) for name, value in zip(*columns, strict=True)]


def best_task(
    name: str,
    features: np.ndarray,
    values: np.ndarray,
    price_eur: tuple[float, ...],
    *,
    top: int,
    sign: float,
    goal: int,
    initial: int,
) -> Task:
    """Return a search for `goal` of the `top` best target values."""
    hits = np.zeros(len(values), dtype=bool)
    hits[np.argsort(sign * values[:, -1], kind="stable")[:top]] = True
    return Task(name, standardise(features), values, price_eur, hits, None, top, sign, goal, initial)


def standardise(features: np.ndarray) -> np.ndarray:
    """Scale columns to mean 0 and deviation 1; a constant column becomes 0."""
    spread = features.std(axis=0)
    return (features - features.mean(axis=0)) / np.where(spread > 0.0, spread, 1.0)


def permuted(task: Task, seed: int) -> Task:
    """Return the task with the cheap answers shuffled over candidates: cheap sources that know nothing."""
    order = np.random.default_rng(seed).permutation(len(task.values))
    return _corrupted(task, "permuted", task.values[order, :-1])


def flipped(task: Task) -> Task:
    """Return the task with the cheap answers mirrored at their means: cheap sources that mislead."""
    cheap = task.values[:, :-1]
    return _corrupted(task, "flipped", 2.0 * np.nanmean(cheap, axis=0) - cheap)


def constant(task: Task) -> Task:
    """Return the task with every cheap answer at its mean: cheap sources that say nothing."""
    cheap = task.values[:, :-1]
    return _corrupted(task, "constant", np.broadcast_to(np.nanmean(cheap, axis=0), cheap.shape))


def target_only(task: Task) -> Task:
    """Return the task without its cheap sources."""
    return replace(task, name=f"{task.name} alone", values=task.values[:, -1:], price_eur=task.price_eur[-1:])


def save(task: Task, path: Path) -> None:
    """Write the task to one .npz file without pickled objects."""
    window = np.array(task.window if task.window is not None else (np.nan, np.nan))
    numbers = np.array([task.top or 0, task.goal, task.initial])
    np.savez_compressed(
        path,
        name=np.array(task.name),
        features=task.features,
        values=task.values,
        price_eur=np.array(task.price_eur),
        hits=task.hits,
        window=window,
        numbers=numbers,
        sign=np.array(task.sign),
    )


def load(path: Path) -> Task:
    """Read a task that `save` wrote."""
    with np.load(path, allow_pickle=False) as file:
        top, goal, initial = (int(number) for number in file["numbers"])
        low, high = (float(bound) for bound in file["window"])
        prices = tuple(float(price) for price in file["price_eur"])
        window = None if np.isnan(low) else (low, high)
        arrays = file["features"], file["values"], prices, file["hits"]
        return Task(str(file["name"]), *arrays, window, top or None, float(file["sign"]), goal, initial)


def _corrupted(task: Task, how: str, cheap: np.ndarray) -> Task:
    return replace(task, name=f"{task.name} {how}", values=np.column_stack([cheap, task.values[:, -1]]))


def _file(name: str, origin: str) -> Path:
    folder = os.environ.get("MFAL_DATA")
    if folder is None:
        raise DataMissingError(f"MFAL_DATA is not set: download {name} from {origin} and set it to the folder")
    path = Path(folder) / name
    if not path.exists():
        raise DataMissingError(f"{name} is not in the folder that MFAL_DATA names: download it from {origin}")
    return path


def _gap_table(name: str, column: str) -> Any:
    import pandas as pd

    # Sodium nitride is a formula, not a missing value.
    table = pd.read_csv(_file(name, _CRABNET), keep_default_na=False)
    grouped = table.groupby(table["formula"].map(_fractions))
    return grouped.agg({"formula": "first", "target": "median"}).rename(columns={"target": column})


def _fractions(formula: str) -> str:
    from pymatgen.core import Composition

    composition = Composition(formula)
    return " ".join(sorted(f"{e.symbol}{composition.get_atomic_fraction(e):.4f}" for e in composition.elements))


def _describe(formulas: Iterable[Any]) -> np.ndarray:
    from mfal.space.features import composition_descriptors

    return composition_descriptors([str(formula) for formula in formulas])[0]

"""Thousands of structures through a potential into a table that grows as they are answered, and can be resumed."""

import csv
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from physics.structures import Named, Unreadable

if TYPE_CHECKING:
    from ase import Atoms

# Structures that are answered, and written, together.
TOGETHER = 512
COLUMNS: tuple[str, ...] = (
    "name", "model", "formula", "atoms", "energy_ev_per_atom", "largest_force_ev_per_a", "pressure_gpa",
    "volume_a3_per_atom", "magnetic_moment_mu_b_per_atom", "failure",
)  # fmt: skip


class ScreeningError(ValueError):
    """A table that cannot be continued: names the file and the remedy."""


@dataclass(frozen=True)
class Answer:
    """What a potential says of one structure.

    Attributes:
        energy_ev_per_atom: total energy.
        forces_ev_per_a: shape (atoms, 3).
        stress_gpa: shape (3, 3), positive where the crystal is stretched.
        magnetic_moments_mu_b: shape (atoms,).
    """

    energy_ev_per_atom: float
    forces_ev_per_a: np.ndarray
    stress_gpa: np.ndarray
    magnetic_moments_mu_b: np.ndarray


# Answers in the order of the structures; a sentence where there is none.
Model = Callable[[Sequence["Atoms"]], Sequence[Answer | str]]


@dataclass(frozen=True)
class Screened:
    """How far a table has come.

    Attributes:
        answered: structures answered by this call.
        failures: names without an answer, of this call, and why.
        before: rows that were there already.
    """

    answered: int
    failures: tuple[tuple[str, str], ...]
    before: int


def screen(
    structures: Iterable[Named | Unreadable],
    model: Model,
    label: str,
    table: Path,
    watch: Callable[[int], None] = lambda _: None,
) -> Screened:
    """Answer every structure that the table does not hold yet, and append a row for each.

    Args:
        structures: to answer; names are unique.
        model: answers many at once.
        label: of the model, as it appears in the table.
        table: CSV file; rows are on the disk before the next ones are computed.
        watch: is told how many structures have been dealt with, those found in the table included.

    Raises:
        ScreeningError: the table is of something else.
    """
    known, answered, failures = _known(table, label), 0, []
    fresh = (structure for structure in structures if structure.name not in known)
    watch(len(known))
    with table.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if file.tell() == 0:
            writer.writeheader()
        for part in _parts(fresh):
            rows = _rows(part, model, label)
            writer.writerows(rows)
            file.flush()
            os.fsync(file.fileno())
            failures += [(row["name"], row["failure"]) for row in rows if row["failure"]]
            answered += len(rows)
            watch(len(known) + answered)
    return Screened(answered - len(failures), tuple(failures), len(known))


def _parts(structures: Iterator[Named | Unreadable]) -> Iterator[list[Named | Unreadable]]:
    while part := list(islice(structures, TOGETHER)):
        yield part


def _rows(part: Sequence[Named | Unreadable], model: Model, label: str) -> list[dict[str, str]]:
    readable = [one for one in part if isinstance(one, Named)]
    answers = dict(zip((one.name for one in readable), model([one.atoms for one in readable]), strict=True))
    return [_row(one, answers.get(one.name, ""), label) for one in part]


def _row(one: Named | Unreadable, answer: Answer | str, label: str) -> dict[str, str]:
    row = dict.fromkeys(COLUMNS, "") | {"name": one.name, "model": label}
    if isinstance(one, Unreadable):
        return row | {"failure": _one_line(one.reason)}
    row = row | {"formula": one.atoms.get_chemical_formula(), "atoms": str(len(one.atoms))}
    return {**row, **({"failure": _one_line(answer)} if isinstance(answer, str) else _numbers(one.atoms, answer))}


def _numbers(atoms: "Atoms", answer: Answer) -> Mapping[str, str]:
    numbers: dict[str, float] = {
        "energy_ev_per_atom": answer.energy_ev_per_atom,
        "largest_force_ev_per_a": np.linalg.norm(answer.forces_ev_per_a, axis=1).max(),
        "pressure_gpa": -np.trace(answer.stress_gpa) / 3.0,
        "volume_a3_per_atom": atoms.get_volume() / len(atoms),
        "magnetic_moment_mu_b_per_atom": answer.magnetic_moments_mu_b.mean(),
    }
    return {name: f"{number:.8g}" for name, number in numbers.items()}  # float32 has no more digits


def _known(table: Path, label: str) -> set[str]:
    """Return the names that the table holds; a last line that was cut off by a kill is removed from it."""
    if not table.exists():
        return set()
    content = table.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        os.truncate(table, len(whole))
    reader = csv.DictReader(io.StringIO(whole.decode("utf-8"), newline=""))
    if whole and tuple(reader.fieldnames or ()) != COLUMNS:
        raise ScreeningError(f"{table} is another table, columns differ; name another file with --table")
    rows = list(reader)
    models = sorted({row["model"] for row in rows} - {label})
    if models:
        raise ScreeningError(f"{table} holds answers of {models}, this is {label!r}; name another file with --table")
    return {row["name"] for row in rows}


def _one_line(text: str) -> str:
    return " ".join(text.split())

"""Answer structures part after part; a kill costs the part in hand, and the same call goes on from there."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from physics.mlip.potential import Outcome, Potential, Prediction, Refusal, Relaxation, RelaxationSettings, ignore
from physics.screening.hulls import forget_hulls, missing_elements, write_hulls
from physics.screening.journal import Files, append, resume
from physics.screening.rows import Result, Role, Treatment, result
from physics.screening.tables import complete, growing_rows
from physics.structures import Named, Unreadable

if TYPE_CHECKING:
    from ase import Atoms

Structures = Iterable[Named | Unreadable]


@dataclass(frozen=True)
class PartSize:
    """How much is answered, and then written, together.

    Attributes:
        given_atoms: where structures are answered as they are.
        relaxed_atoms: where they are relaxed.
    """

    given_atoms: int
    relaxed_atoms: int

    def times(self, devices: int) -> "PartSize":
        """Return what as many devices answer together."""
        return PartSize(devices * self.given_atoms, devices * self.relaxed_atoms)


# Atoms rather than structures, because the time goes with them; a part ends when it has so many.
# CPU: a few seconds (2 cores answer 1 000 atoms a second, relax 15); larger parts would be no faster.
ON_CPU = PartSize(4_000, 500)
# GPU: some thousand structures. Relaxations share 15 000 atoms' places on it, and as a part ends places stay empty
# until the slowest, at several times the mean number of steps, is done: a part fills the places a dozen times.
ON_GPU = PartSize(100_000, 200_000)
# A calculator without batched code answers one after the other: parts only save waiting for the disk.
ONE_BY_ONE = PartSize(200, 200)


@dataclass(frozen=True)
class Task:
    """What to do with which structures.

    Attributes:
        structures: to be answered; no name is there twice.
        relaxes: whether they, and the references, are relaxed first.
        settings: of relaxations; the elements of a hull are relaxed in any case.
        references: further phases of the hull; None for no hull.
        table: ``.parquet``, or CSV.
        structures_out: extended XYZ file of the structures with their answers; None for none.
    """

    structures: Structures
    relaxes: bool
    settings: RelaxationSettings
    references: Structures | None
    table: Path
    structures_out: Path | None


@dataclass(frozen=True)
class Screened:
    """How far a table has come.

    Attributes:
        answered: structures answered by this call, references not counted.
        converged: those of them that were relaxed and converged.
        failures: names without an answer, of this call, and why; references, too.
        before: rows that were there already, references not counted.
        hull: what it is of; empty without one.
    """

    answered: int
    converged: int
    failures: tuple[tuple[str, str], ...]
    before: int
    hull: str


def screen(task: Task, potential: Potential, part: PartSize, watch: Callable[[int], None] = ignore) -> Screened:
    """Answer every structure that the table does not hold yet; a row each, whatever becomes of it.

    Args:
        task: what to do.
        potential: answers many structures at once.
        part: how many.
        watch: is told how many structures have been dealt with, references and those found in the table included.

    Raises:
        ScreeningError: the table or the structures are of something else, or cannot be written.
        HullError: the hull came out wrong; the table is complete but for it.
    """
    files = Files(growing_rows(task.table), task.structures_out)
    treatments = _treatments(task, potential.label)
    kept = resume(files, potential.label, treatments)
    known, tally, has_hulls = set(kept.names), _Tally(), kept.has_hulls
    watch(len(known))
    for role, structures in _roles(task, files.rows):
        fresh = _not_in(known, structures)
        for results in _answers(fresh, potential, treatments[role], part, lambda ended: watch(len(known) + ended)):
            if has_hulls:
                forget_hulls(files.rows)
                has_hulls = False
            append(files, results)
            known.update(one.row["name"] for one in results)
            tally = tally.with_results(role, results)
            watch(len(known))
    hull = "" if task.references is None else write_hulls(files.rows)
    complete(files.rows, task.table)
    return Screened(tally.answered, tally.converged, tally.failures, kept.screened, hull)


@dataclass(frozen=True)
class _Tally:
    answered: int = 0
    converged: int = 0
    failures: tuple[tuple[str, str], ...] = ()

    def with_results(self, role: Role, results: list[Result]) -> "_Tally":
        good = [one.row for one in results if not one.row["failure"] and role == Role.SCREENED]
        bad = [(one.row["name"], one.row["failure"]) for one in results if one.row["failure"]]
        converged = sum(row["outcome"] == Outcome.CONVERGED for row in good)
        return _Tally(self.answered + len(good), self.converged + converged, (*self.failures, *bad))


def _treatments(task: Task, label: str) -> Mapping[Role, Treatment]:
    relaxation = task.settings if task.relaxes else None
    treatments = {Role.SCREENED: Treatment(Role.SCREENED, label, relaxation)}
    if task.references is not None:
        treatments[Role.REFERENCE] = Treatment(Role.REFERENCE, label, relaxation)
        treatments[Role.ELEMENT] = Treatment(Role.ELEMENT, label, task.settings)
    return treatments


def _roles(task: Task, rows: Path) -> Iterator[tuple[Role, Structures]]:
    """Yield structures with their role; which elements there are is known once the others have been answered."""
    yield Role.SCREENED, task.structures
    if task.references is not None:
        yield Role.REFERENCE, task.references
        yield Role.ELEMENT, missing_elements(rows)


def _not_in(known: set[str], structures: Structures) -> Iterator[Named | Unreadable]:
    return (structure for structure in structures if structure.name not in known)


def _answers(
    structures: Iterator[Named | Unreadable],
    potential: Potential,
    treatment: Treatment,
    part: PartSize,
    watch: Callable[[int], None],
) -> Iterator[list[Result]]:
    size = part.given_atoms if treatment.relaxation is None else part.relaxed_atoms
    for together in _parts(structures, size):
        readable = [one.atoms for one in together if isinstance(one, Named)]
        answers = iter(_asked(readable, potential, treatment, watch) if readable else ())
        yield [result(one, next(answers) if isinstance(one, Named) else None, treatment) for one in together]


def _asked(
    readable: list["Atoms"], potential: Potential, treatment: Treatment, watch: Callable[[int], None]
) -> Sequence[Prediction | Relaxation | Refusal]:
    if treatment.relaxation is None:
        return potential.predict(readable)
    return potential.relax(readable, treatment.relaxation, watch)


def _parts(structures: Iterator[Named | Unreadable], atoms: int) -> Iterator[list[Named | Unreadable]]:
    together: list[Named | Unreadable] = []
    count = 0
    for one in structures:
        together.append(one)
        count += len(one.atoms) if isinstance(one, Named) else 1
        if count >= atoms:
            yield together
            together, count = [], 0
    if together:
        yield together

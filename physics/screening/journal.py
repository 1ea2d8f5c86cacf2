"""The two files that grow while structures are answered, and how they are made whole after a kill.

Rows of a part are on the disk before its structures are, and these before the next part is computed. Both files have
one order, so that what agrees is a beginning of each: a resumed screening keeps the longest one, cuts off the rest of
both and answers that again. No structure is lost or there twice, wherever either file ends.
"""

import csv
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from physics.screening.rows import COLUMNS, HULL_COLUMNS, Result, Role, Row, ScreeningError, Treatment, has_frame


@dataclass(frozen=True)
class Files:
    """Where a screening is kept while it grows.

    Attributes:
        rows: CSV.
        structures: extended XYZ; None where they are not wanted.
    """

    rows: Path
    structures: Path | None = None


@dataclass(frozen=True)
class Kept:
    """What the files hold.

    Attributes:
        names: of all rows.
        screened: rows that are no references.
        has_hulls: whether a row has an energy above the hull.
    """

    names: frozenset[str]
    screened: int
    has_hulls: bool


def resume(files: Files, model: str, treatments: Mapping[Role, Treatment]) -> Kept:
    """Cut both files to what they agree on; begin them where there are none.

    Args:
        files: to be continued.
        model: its label; a table of another one is refused.
        treatments: of the roles that are to be answered; rows treated otherwise are refused.

    Raises:
        ScreeningError: a file is of something else, or cannot be written.
    """
    names, screened, has_hulls, ends = set(), 0, False, (len(_HEADER), 0)
    for row, *where in _agreeing(files):
        ends = where
        _check(row, files.rows, model, treatments)
        names.add(row["name"])
        screened += row["role"] == Role.SCREENED
        has_hulls |= any(row[column] for column in HULL_COLUMNS)
    with writing(files.rows):
        if not names:
            _write(files.rows, _HEADER, "wb")
        os.truncate(files.rows, ends[0])
    if files.structures is not None:
        with writing(files.structures):
            files.structures.touch()
            os.truncate(files.structures, ends[1])
    return Kept(frozenset(names), screened, has_hulls)


def append(files: Files, results: Sequence[Result]) -> None:
    """Put results on the disk.

    Raises:
        ScreeningError: a file cannot be written.
    """
    with writing(files.rows):
        _write(files.rows, _csv(result.row for result in results), "ab")
    if files.structures is not None:
        with writing(files.structures):
            _write(files.structures, _extended_xyz(results), "ab")


def read_rows(table: Path) -> Iterator[Row]:
    """Yield the rows of a CSV file as `resume` leaves it."""
    for row, _ in _whole_rows(table):
        yield row


def rewrite(table: Path, change: Callable[[Row], Row]) -> None:
    """Change every row; the file is replaced once the new one is complete.

    Raises:
        ScreeningError: it cannot be written.
    """
    with writing(table), replacing(table) as new, new.open("wb") as file:
        file.write(_HEADER)
        for row in read_rows(table):
            file.write(_csv([change(row)]))


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Give another place to write to, and put what is there into the file's at the end."""
    new = file.with_name(f"{file.name}.new")
    try:
        yield new
        with new.open("rb+") as written:
            os.fsync(written.fileno())
        os.replace(new, file)
    finally:
        new.unlink(missing_ok=True)


@contextmanager
def writing(file: Path) -> Iterator[None]:
    """Turn what the system says into a ScreeningError with a remedy: a full disk, no permission, no such folder."""
    try:
        yield
    except OSError as error:
        raise ScreeningError(
            f"{file} cannot be used ({error.strerror or error}); all that it holds is kept: make room, or name another "
            "place, and run the same command again"
        ) from error


def _agreeing(files: Files) -> Iterator[tuple[Row, int, int]]:
    """Yield rows, and where they and their structures end, as long as a row that has a structure finds it."""
    if files.structures is None:
        yield from ((row, end, 0) for row, end in _whole_rows(files.rows))
        return
    frames, frame_end = _whole_frames(files.structures), 0
    for row, row_end in _whole_rows(files.rows):
        if has_frame(row):
            if not files.structures.exists():
                raise ScreeningError(
                    f"{files.structures} does not exist, but {files.rows} holds answers whose structures belong there; "
                    "name the file that they went to with --structures-out, or another table with --table"
                )
            comment, frame_end = next(frames, ("", frame_end))
            if not comment:
                return
            if _mark(row["name"]) not in comment:
                raise _other_structures(files.structures)
        yield row, row_end, frame_end
    # more structures than rows are a table that was cut off, unless there are no rows: then it is somebody's file
    if not frame_end and files.structures.exists() and files.structures.stat().st_size:
        raise _other_structures(files.structures)


def _other_structures(file: Path) -> ScreeningError:
    return ScreeningError(
        f"{file} holds structures that are not of this table; name another file with --structures-out, or move it away"
    )


def _whole_rows(table: Path) -> Iterator[tuple[Row, int]]:
    """Yield rows and where they end; the last one may have been cut off."""
    end = 0

    def lines() -> Iterator[str]:
        nonlocal end
        for line in file:
            if not line.endswith(b"\n"):
                return
            end += len(line)
            yield line.decode("utf-8")

    if not table.exists():
        return
    with writing(table), table.open("rb") as file:
        head = file.readline()
        if head != _HEADER and not (_HEADER.startswith(head) and not file.read(1)):
            raise ScreeningError(f"{table} is another table, columns differ; name another file with --table")
        end = len(head)
        for row in csv.DictReader(lines(), tuple(COLUMNS)):
            if None in row.values():  # cut off at a line break within a field
                return
            yield row, end


def _whole_frames(structures: Path) -> Iterator[tuple[str, int]]:
    """Yield the comment of each frame and where the frame ends; the last one may have been cut off."""
    with structures.open("rb") as file:
        while head := file.readline():
            if not head.strip().isdigit():
                raise _other_structures(structures)
            lines = [file.readline() for _ in range(int(head) + 1)]
            if not lines[-1].endswith(b"\n"):
                return
            yield lines[0].decode("utf-8"), file.tell()


def _check(row: Row, table: Path, model: str, treatments: Mapping[Role, Treatment]) -> None:
    if row["model"] != model:
        raise ScreeningError(
            f"{table} holds answers of {row['model']!r}, this is {model!r}; name another file with --table"
        )
    wanted = treatments.get(Role(row["role"]))
    if wanted is not None and row["treatment"] != wanted.text:
        raise ScreeningError(
            f"{table} holds structures {row['treatment']!r}, these are to be {wanted.text!r}; name another file with "
            "--table"
        )


def _csv(rows: Iterable[Row]) -> bytes:
    text = io.StringIO(newline="")
    csv.DictWriter(text, tuple(COLUMNS)).writerows(rows)
    return text.getvalue().encode("utf-8")


_HEADER = _csv([{column: column for column in COLUMNS}])


def _extended_xyz(results: Sequence[Result]) -> bytes:
    from ase.io.extxyz import write_xyz

    text = io.StringIO()
    frames = [result.frame for result in results if result.frame is not None]
    if frames:
        write_xyz(text, frames)
    return text.getvalue().encode("utf-8")


def _mark(name: str) -> str:
    """Return how the comment of a frame shows its name."""
    from ase.io.extxyz import key_val_dict_to_str

    return f" {key_val_dict_to_str({'name': name})} "


def _write(path: Path, content: bytes, mode: str) -> None:
    file: BinaryIO
    with path.open(mode) as file:  # pyright: ignore[reportAssignmentType]
        file.write(content)
        file.flush()
        os.fsync(file.fileno())

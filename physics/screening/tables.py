"""What becomes of the growing file: a CSV table is that file, a Parquet table is made of it at the end.

Parquet cannot grow: its index is at its end, so a killed writer leaves nothing, and parts in files of their own would
be thousands to keep in step with the structures. So rows always grow as CSV, in ``TABLE.parquet.part.csv`` for Parquet,
which goes once the table is complete. A resumed screening starts from what is left of that file, else from the table.
"""

from pathlib import Path
from typing import Any

from physics.screening.journal import replacing, writing
from physics.screening.rows import COLUMNS, ScreeningError

SUFFIX = ".parquet"


def growing_rows(table: Path) -> Path:
    """Return the CSV file that grows; the rows of a Parquet table that is there already are put into it.

    Raises:
        ScreeningError: the table cannot be read.
    """
    if table.suffix.lower() != SUFFIX:
        return table
    rows = table.with_name(f"{table.name}.part.csv")
    if table.exists() and not rows.exists():
        with writing(rows), replacing(rows) as new:
            _to_csv(table, new)
    return rows


def complete(rows: Path, table: Path) -> None:
    """Turn the growing file into the table.

    Raises:
        ScreeningError: the table cannot be written.
    """
    if rows == table:
        return
    with writing(table):
        with replacing(table) as new:
            _to_parquet(rows, new)
        rows.unlink()


def _to_parquet(rows: Path, table: Path) -> None:
    import pandas as pd

    # "NA" and the like are names; only what is blank is missing
    types: Any = COLUMNS
    frame = pd.read_csv(rows, dtype=types, keep_default_na=False, na_values=[""])
    frame.to_parquet(table, index=False)


def _to_csv(table: Path, rows: Path) -> None:
    import pandas as pd

    try:
        frame = pd.read_parquet(table, dtype_backend="numpy_nullable")
    except ValueError as error:  # pyarrow's errors are of this kind
        raise ScreeningError(f"{table} cannot be read ({error}); name another file with --table") from error
    if list(frame.columns) != list(COLUMNS):
        raise ScreeningError(f"{table} is another table, columns differ; name another file with --table")
    frame.to_csv(rows, index=False, float_format="%.8g", lineterminator="\r\n")

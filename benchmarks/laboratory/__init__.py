"""A laboratory: coping with its failures, agreement of the books, what a study foretells, mutated files at its door."""

from typing import Any


def measure(smoke: bool) -> dict[str, Any]:
    """Return the figures of every part."""
    from benchmarks.laboratory.coping import measure_coping
    from benchmarks.laboratory.foretold import measure_foretold
    from benchmarks.laboratory.fuzz import measure_fuzz
    from benchmarks.laboratory.ten_weeks import measure_ten_weeks

    parts = (measure_fuzz, measure_ten_weeks, measure_foretold, measure_coping)
    return {figure: value for part in parts for figure, value in part(smoke).items()}

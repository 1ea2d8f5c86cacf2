"""What several calculations of one job cost together."""

from collections.abc import Mapping, Sequence
from typing import Any

_OF_ONE = ("settings", "kpoints", "atoms", "electrons", "cores", "gpaw")


def together(answers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the price's parts of a job: ``seconds`` and ``calculations`` of all, the others of the first."""
    shared = {key: answers[0][key] for key in _OF_ONE if key in answers[0]} if answers else {}
    return shared | {"seconds": sum((float(one["seconds"]) for one in answers), 0.0), "calculations": len(answers)}

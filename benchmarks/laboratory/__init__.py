"""The laboratory: mutated files of results at the door."""

from typing import Any


def measure(smoke: bool) -> dict[str, Any]:
    """Return the figures that can be measured so far."""
    from benchmarks.laboratory.fuzz import fuzz

    found = fuzz(500 if smoke else 10_000, seed=0)
    return {
        "fuzzed": found.fuzzed,
        "fuzz_refused": found.refused,
        "fuzz_accepted": found.accepted,
        "silently_accepted": len(found.silently_accepted),
        "crashes": len(found.crashes),
    }

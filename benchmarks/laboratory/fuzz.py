"""Mutated files of results: each is refused, or taken for what a second, independent reading says it means."""

import random
from dataclasses import dataclass, fields
from itertools import islice
from typing import Literal

from benchmarks.laboratory import documents, independent
from benchmarks.laboratory.independent import Meaning, MeaninglessError
from benchmarks.laboratory.mutations import mutate
from mfal.errors import ResultsRefusedError
from mfal.laboratory.assess import assess
from mfal.laboratory.reading import Format, read_results
from mfal.laboratory.told import Result

Fate = Literal["refused", "accepted", "silently_accepted", "crashed"]
_KEPT = 20


@dataclass(frozen=True)
class Fuzzed:
    """What became of mutated files; the last two hold the files themselves.

    Attributes:
        fuzzed: files.
        refused: with a typed error.
        accepted: with the meaning that the independent reading gives them.
        silently_accepted: with another meaning, or with none.
        crashes: with any other error.
    """

    fuzzed: int
    refused: int
    accepted: int
    silently_accepted: tuple[bytes, ...]
    crashes: tuple[bytes, ...]


def measure_fuzz(smoke: bool) -> dict[str, int]:
    """Return the figures."""
    found = fuzz(500 if smoke else 10_000, seed=0)
    return {
        "fuzzed": found.fuzzed,
        "fuzz_refused": found.refused,
        "fuzz_accepted": found.accepted,
        "silently_accepted": len(found.silently_accepted),
        "crashes": len(found.crashes),
    }


def fuzz(count: int, seed: int) -> Fuzzed:
    """Return what becomes of `count` mutated files, half of them CSV, half JSON."""
    rng = random.Random(seed)
    fates: dict[Fate, list[bytes]] = {"refused": [], "accepted": [], "silently_accepted": [], "crashed": []}
    for index in range(count):
        form: Format = "csv" if index % 2 == 0 else "json"
        content = mutate(documents.document(form, rng), rng)
        fates[fate(content, form)].append(content)
    wrong, crashed = fates["silently_accepted"], fates["crashed"]
    return Fuzzed(count, len(fates["refused"]), len(fates["accepted"]), tuple(wrong), tuple(crashed))


def fate(content: bytes, form: Format) -> Fate:
    """Return what becomes of one file."""
    try:
        found = taken(content, form)
    except ResultsRefusedError:
        return "refused"
    except Exception:
        return "crashed"
    try:
        meant = independent.read(content, form, documents.LOWEST, documents.HIGHEST)
    except MeaninglessError:
        return "silently_accepted"
    same = len(found) == len(meant) and all(map(Meaning.equals, found, meant))
    known = set(documents.asked())
    return "accepted" if same and all(one.id in known for one in meant) else "silently_accepted"


def taken(content: bytes, form: Format) -> list[Meaning]:
    """Return what the door takes a file for, in the order of its rows.

    Raises:
        ResultsRefusedError: it is refused.
    """
    requests = documents.asked()
    lines = read_results(content, form, f"results.{form}")
    found = assess(lines, f"results.{form}", documents.UNIT, requests, documents.told(requests), documents.NOW)
    results = {one.result.id: one.result for one in found.accepted}
    results |= {line.row.id: revision.result for line, revision in found.repeated}
    return [_meaning(results[line.row.id]) for line in lines]


def _meaning(result: Result) -> Meaning:
    return Meaning(**{field.name: getattr(result, field.name) for field in fields(Meaning)})


if __name__ == "__main__":
    outcome = fuzz(10_000, seed=0)
    print(outcome.fuzzed, outcome.refused, outcome.accepted)
    for name in ("silently_accepted", "crashes"):
        files = getattr(outcome, name)
        print(name, len(files), *islice(files, _KEPT), sep="\n")

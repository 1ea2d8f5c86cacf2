"""A synthetic campaign whose target is measured by a scripted laboratory: it knows the table and answers by file.

``python -m tests.mfal.laboratory.scripted DIRECTORY [EVENTS]`` runs it to its end, or kills itself with SIGKILL right
after so many events of the campaign's ledger have been written.
"""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from mfal.campaign.config import CampaignConfig, parse
from mfal.laboratory.ask import ask, begin
from mfal.laboratory.schema import Batch, BatchQuery
from mfal.laboratory.tell import tell
from mfal.ledger import EventKind, Ledger, read_events
from tests import synthetic
from tests.mfal.laboratory import door

TRUTH = synthetic.truth()
LABORATORY_LEVEL = 2


def manned(**campaign: object) -> CampaignConfig:
    """Return the synthetic campaign with a laboratory in the place of the table of its target."""
    rungs = [
        {**rung, "oracle": "laboratory", "options": {}} if rung.get("target") else rung
        for rung in synthetic.RAW["fidelity"]
    ]
    raw = {**synthetic.RAW, "fidelity": rungs, "campaign": {**synthetic.RAW["campaign"], **campaign}}
    return parse(raw, Path("manned.toml"))


def true_value(query: BatchQuery) -> float:
    """Return what the table of the replay says."""
    return float(TRUTH[int(query.candidate[1:]), LABORATORY_LEVEL])


def measure(queries: Sequence[BatchQuery], value: Callable[[BatchQuery], float] = true_value) -> bytes:
    """Return a file with a result for every query."""
    return door.document(*(door.row(query.id, value(query)) for query in queries))


def to_the_end(directory: Path) -> Batch:
    """Ask and tell until the campaign stops."""
    if not (directory / "ledger.sqlite").exists() or not read_events(directory):
        begin(manned(), directory)
    while (batch := ask(directory)).state != "stopped":
        tell(directory, measure(batch.queries), "json", f"{batch.batch}.json", False)
    return batch


def course(directory: Path) -> dict[str, list]:
    """Return what a campaign decided, learnt and concluded, without times and details."""
    events = read_events(directory)
    facts = ("key", "value", "noise_sd", "price_eur", "failure", "hours")
    answers = [event.payload for event in events if event.kind == EventKind.OBSERVATION]
    return {
        "decisions": [event.payload for event in events if event.kind == EventKind.DECISION],
        "answers": [{name: answer[name] for name in facts} for answer in answers],
        "stops": [event.payload for event in events if event.kind == EventKind.STOP],
    }


def _killed_after(events: int) -> None:
    """Let this process die as soon as so many events of a campaign's ledger are on the disk."""
    append_many, written = Ledger.append_many, 0

    def deadly(self: Ledger, entries: Sequence) -> list:
        nonlocal written
        found = append_many(self, entries)
        written += 0 if any(kind == EventKind.RESULTS for kind, _ in entries) else len(found)
        if written >= events:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    Ledger.append_many = deadly  # pyright: ignore[reportAttributeAccessIssue]


if __name__ == "__main__":
    synthetic.register()
    if len(sys.argv) > 2:
        _killed_after(int(sys.argv[2]))
    to_the_end(Path(sys.argv[1]))

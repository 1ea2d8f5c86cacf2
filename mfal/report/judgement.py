"""What the sources of a campaign were worth, kept beside its page: judging needs numerics, reading does not."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

JUDGEMENT = "judgement.json"


@dataclass(frozen=True)
class SourceWorth:
    """What one source adds to foretelling the target, next to the others.

    Attributes:
        source: its name.
        nats: evidence for it over all target answers; None with too few of them.
        paid_eur: for its answers.
        verdict: in plain words.
    """

    source: str
    nats: float | None
    paid_eur: float
    verdict: str


@dataclass(frozen=True)
class Judgement:
    """What the sources are worth, one by one and together.

    Attributes:
        sources: all but the target.
        answers: of the target, that this rests on.
        nats: evidence for all sources together; None with too few answers.
        eur_single: what single-fidelity search pays on average to get as far; None if unknown, or if it gives up.
        pays: whether multi-fidelity pays; None if that cannot be said.
        verdict: in a sentence.
    """

    sources: tuple[SourceWorth, ...]
    answers: int
    nats: float | None
    eur_single: float | None
    pays: bool | None
    verdict: str


def keep(judgement: Judgement, head: str, directory: Path) -> None:
    """Write a judgement beside the ledger whose last event has the hash `head`."""
    text = json.dumps({"head": head, **asdict(judgement)}, indent=1)
    (directory / JUDGEMENT).write_text(text + "\n", encoding="utf-8")


def kept(head: str, directory: Path) -> Judgement | None:
    """Return the judgement of the ledger that ends with `head`, None if there is none or the ledger has grown."""
    try:
        raw = json.loads((directory / JUDGEMENT).read_text(encoding="utf-8"))
        if raw.pop("head") != head:
            return None
        return Judgement(**{**raw, "sources": tuple(SourceWorth(**source) for source in raw["sources"])})
    except (OSError, ValueError, KeyError, TypeError):
        # It can be made again at any time.
        return None

"""A person's signature: the only code that says anything of novelty.

A signature is a name and a time in the hash chain of the laboratory's ledger: it cannot be changed or removed
afterwards without `mfal verify` finding it. It proves what was decided, when and on what evidence, not who sat at the
keyboard; keep the directory writable for those who may sign.
"""

from dataclasses import dataclass
from pathlib import Path

from mfal.campaign.config import CampaignConfig
from mfal.campaign.plugins import named_pool
from mfal.campaign.record import campaign_events
from mfal.errors import ReviewError
from mfal.laboratory.requests import requests
from mfal.laboratory.review import Triage, triage
from mfal.laboratory.told import Signature, fold_told, read_told, told_ledger
from mfal.ledger.event import EventKind


@dataclass(frozen=True)
class Decision:
    """What a person decides.

    Attributes:
        item: id of a request with a result, or of an item that waits.
        accept: or reject; a rejected result counts as a failure, until it is accepted again.
        by: name of the person.
        note: why.
        novel: what the person says of its scientific novelty; None for nothing.
    """

    item: str
    accept: bool
    by: str
    note: str
    novel: bool | None


def review(directory: Path) -> Triage:
    """Return what waits for a person in a campaign's directory.

    Raises:
        LedgerError: there is no campaign, or a ledger does not verify.
    """
    events = campaign_events(directory)
    config = CampaignConfig.model_validate(events[0].payload["config"])
    return triage(config, events, named_pool(config), read_told(directory))


def sign(directory: Path, decision: Decision) -> Signature:
    """Record a person's decision; when this returns, it survives a power failure.

    Raises:
        ReviewError: nobody signs, or there is nothing of that id to decide.
        LedgerError: there is no campaign, or a ledger does not verify.
    """
    by, note = decision.by.strip(), decision.note.strip()
    if not by or not note or not (by + note).isprintable():
        raise ReviewError(f"{by=} with {note=}: a person signs with a name and a reason; give --by NAME --note WHY")
    events = campaign_events(directory)
    config = CampaignConfig.model_validate(events[0].payload["config"])
    pool, asked = named_pool(config), requests(config, events)
    with told_ledger(directory) as ledger:
        found = triage(config, events, pool, fold_told(ledger.events()))
        payload = {
            "item": decision.item,
            "accept": decision.accept,
            "by": by,
            "note": note,
            "scientific_novelty": decision.novel,
            "evidence": _evidence(found, decision),
            "key": asked[decision.item].key if decision.item in asked else None,
        }
        event = ledger.append(EventKind.SIGNATURE, payload)
    return Signature(**payload, time=event.time, event_hash=event.hash)


def _evidence(found: Triage, decision: Decision) -> str:
    """Return what is known of the item; refuse what there is not, or what cannot be new to science."""
    waiting = {item.id: item.reason for item in found.waiting}
    results = {one.id: one for one in found.results}
    if decision.item not in waiting and decision.item not in results:
        names = [*waiting, *(name for name in results if name not in waiting)]
        raise ReviewError(f"{decision.item!r} neither waits nor has a result; there are {names}")
    measured = results.get(decision.item)
    if decision.novel is not None and (measured is None or measured.value is None or not decision.accept):
        raise ReviewError(f"{decision.item!r}: only an accepted result can be called novel or not; leave --novel out")
    return waiting.get(decision.item) or (measured.reason if measured is not None else "")

"""What laboratories have been asked, read off the campaign's ledger without any numerics."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mfal.campaign.config import CampaignConfig
from mfal.fidelity import Fidelity
from mfal.laboratory.options import ORACLE
from mfal.ledger.event import Event, EventKind
from mfal.oracle import Query

_CHECK_DIGITS = 8


@dataclass(frozen=True)
class Request:
    """A query that was handed to a laboratory.

    Attributes:
        id: what the laboratory calls it: fidelity, candidate and check digits, which differ from campaign to campaign.
        key: of the query in the campaign's ledger.
        candidate: id in the pool.
        fidelity: that asks.
        price_eur: committed.
        gain: expected before the price, in the acquisition's unit.
        probability: that the candidate is a hit, when it was asked.
        mean: expected target property at that time.
        sd: its standard deviation.
        rank: place among the queries of its decision, from 1.
        decided: number of these queries.
        asked: when.
        due: when an answer is expected.
        due_hours: the same on the campaign's clock.
        answered: the campaign has learnt from an answer.
    """

    id: str
    key: str
    candidate: str
    fidelity: Fidelity
    price_eur: float
    gain: float
    probability: float
    mean: float
    sd: float
    rank: int
    decided: int
    asked: datetime
    due: datetime
    due_hours: float
    answered: bool


def requests(config: CampaignConfig, events: Sequence[Event]) -> dict[str, Request]:
    """Return what laboratories were asked, by id, in the order of asking; what was taken back is left out."""
    answered = {event.payload["key"] for event in events if event.kind == EventKind.OBSERVATION}
    found: dict[str, Request] = {}
    for event in events:
        if event.kind == EventKind.DECISION:
            found |= _asked(config, events[0].hash, event, answered)
        elif event.kind == EventKind.WITHDRAWAL:
            found = {name: one for name, one in found.items() if one.key not in event.payload["queries"]}
    return found


def request_id(campaign_hash: str, fidelity: str, candidate: str) -> str:
    """Return the id of a query; a slip of the pen or the id of another campaign is none that was asked."""
    digest = hashlib.sha256(f"{campaign_hash}\n{fidelity}\n{candidate}".encode()).hexdigest()
    return f"{fidelity}:{candidate}:{digest[:_CHECK_DIGITS]}"


def _asked(config: CampaignConfig, campaign_hash: str, event: Event, answered: set[str]) -> dict[str, Request]:
    found, asked, queries = {}, datetime.fromisoformat(event.time), event.payload["queries"]
    for rank, query in enumerate(queries, start=1):
        fidelity = config.ladder[query["fidelity"]]
        if fidelity.oracle != ORACLE:
            continue
        key = Query(query["candidate"], fidelity.name, query["price_eur"]).key
        name = request_id(campaign_hash, fidelity.name, query["candidate"])
        found[name] = Request(
            id=name, key=key, candidate=query["candidate"], fidelity=fidelity, price_eur=query["price_eur"],
            gain=query["gain"], probability=query["probability"], mean=query["mean"], sd=query["sd"], rank=rank,
            decided=len(queries), asked=asked, due=asked + timedelta(hours=fidelity.latency_hours),
            due_hours=float(event.payload["hours"]) + fidelity.latency_hours, answered=key in answered,
        )  # fmt: skip
    return found

"""The ledger of a campaign: append-only, hash-chained, sealed. A campaign is a fold over it."""

from mfal.ledger.event import Event, EventKind
from mfal.ledger.seal import VerifyReport, verify
from mfal.ledger.store import Ledger, read_events

__all__ = ["Event", "EventKind", "Ledger", "VerifyReport", "read_events", "verify"]

"""Whether the two ledgers agree: what a campaign learnt from a laboratory is what the laboratory told."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mfal.campaign.config import CampaignConfig
from mfal.campaign.record import answers, campaign_events, recorded_observation
from mfal.errors import TamperedLedgerError
from mfal.laboratory.options import attended
from mfal.laboratory.told import LABORATORY, Told, read_told


def check_agreement(directory: Path) -> int:
    """Compare every result that a campaign learnt from with the laboratory's ledger; return their number.

    Each ledger guards itself; only this notices that one of them was put in another's place as a whole.

    Raises:
        TamperedLedgerError: a result was learnt from that the laboratory did not tell so.
    """
    events, told = campaign_events(directory), read_told(directory)
    config = CampaignConfig.model_validate(events[0].payload["config"])
    names = {rung.name for rung in attended(config.ladder)}
    learnt = [event for event in answers(events) if event.payload["fidelity"] in names]
    for event in learnt:
        if not _told(event.payload, told):
            key, where = event.payload["key"], directory / LABORATORY
            raise TamperedLedgerError(f"event {event.sequence}: {key} was learnt from, but {where} does not tell it so")
    return len(learnt)


def _told(payload: Mapping[str, Any], told: Told) -> bool:
    observation = recorded_observation(payload)
    number, source = observation.details["revision"], observation.details["event_hash"]
    found = [one for one in told.revisions.get(observation.key, ()) if one.number == number]
    facts = (observation.value, observation.noise_sd, observation.failure)
    return any(
        one.event_hash == source and (one.result.value, one.result.noise_sd, one.result.failure) == facts
        for one in found
    )

"""Read a campaign's directory for reporting, without taking the writer's lock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mfal.campaign.build import build_oracles
from mfal.campaign.config import CampaignConfig
from mfal.campaign.history import Progress, Rules, fold
from mfal.campaign.loop import LEDGER, recorded_rules
from mfal.errors import LedgerError, MissingExtraError
from mfal.ledger import Event, read_events
from mfal.oracle import Replayable
from mfal.report.summary import Summary, summarise


@dataclass(frozen=True)
class Reading:
    """A campaign as its ledger tells it."""

    config: CampaignConfig
    rules: Rules
    events: Sequence[Event]
    progress: Progress
    summary: Summary


def read_campaign(directory: Path) -> Reading:
    """Return what the ledger in `directory` amounts to.

    Raises:
        LedgerError: there is no campaign, or its ledger does not verify.
    """
    if not (directory / LEDGER).exists():
        raise LedgerError(f"{directory} holds no campaign; start one with: mfal run FILE")
    events = read_events(directory)
    config, rules = recorded_rules(events[0].payload)
    progress = fold(rules, events)
    return Reading(
        config, rules, events, progress, summarise(rules, config, progress, events, _truth(config, rules, directory))
    )


def _truth(config: CampaignConfig, rules: Rules, directory: Path) -> Mapping[str, float] | None:
    try:
        oracle = build_oracles(config, rules.pool, directory)[rules.ladder.target]
    except MissingExtraError:
        # A page can be made where the calculators are not installed; it then shows no score.
        return None
    return oracle.hidden_truth() if isinstance(oracle, Replayable) else None

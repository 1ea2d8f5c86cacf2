"""Read a campaign's directory for reporting, without taking the writer's lock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mfal.campaign.config import CampaignConfig
from mfal.campaign.plugins import build_oracles, build_pool, named_pool
from mfal.campaign.record import campaign_events
from mfal.errors import MissingExtraError
from mfal.laboratory.options import attended
from mfal.laboratory.review import Item, triage
from mfal.laboratory.told import read_told
from mfal.ledger import Event
from mfal.oracle import Replayable
from mfal.report.summary import Summary, summarise
from mfal.space.pool import Pool


@dataclass(frozen=True)
class Reading:
    """A campaign as its ledger tells it; no numerics are run.

    Attributes:
        config: of the campaign.
        events: of its ledger.
        pool: its candidates; None where the packages that describe them are not installed.
        truth: target values of all candidates where the target is a replay.
        summary: its figures.
        waiting: what waits for a person, most uncertain first; None where no laboratory of people is asked.
    """

    config: CampaignConfig
    events: Sequence[Event]
    pool: Pool | None
    truth: Mapping[str, float] | None
    summary: Summary
    waiting: Sequence[Item] | None

    @property
    def head(self) -> str:
        """Hash of the last event."""
        return self.events[-1].hash


def read_campaign(directory: Path) -> Reading:
    """Return what the ledger in `directory` says.

    Raises:
        LedgerError: there is no campaign, or its ledger does not verify.
    """
    events = campaign_events(directory)
    config = CampaignConfig.model_validate(events[0].payload["config"])
    pool = _pool(config)
    truth = None if pool is None else _truth(config, pool, directory)
    return Reading(config, events, pool, truth, summarise(config, events, truth), _waiting(config, events, directory))


def _pool(config: CampaignConfig) -> Pool | None:
    try:
        return build_pool(config)
    except MissingExtraError:
        return None


def _waiting(config: CampaignConfig, events: Sequence[Event], directory: Path) -> Sequence[Item] | None:
    if not attended(config.ladder):
        return None
    return triage(config, events, named_pool(config), read_told(directory)).waiting


def _truth(config: CampaignConfig, pool: Pool, directory: Path) -> Mapping[str, float] | None:
    try:
        oracle = build_oracles(config, pool, directory)[config.ladder.target]
    except MissingExtraError:
        # A page can be made where the calculators are not installed; it then shows no score.
        return None
    return oracle.hidden_truth() if isinstance(oracle, Replayable) else None

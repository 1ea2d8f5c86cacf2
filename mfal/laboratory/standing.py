"""Where a campaign with a laboratory stands, in a few figures."""

from pathlib import Path

from pydantic import BaseModel

from mfal.campaign.config import CampaignConfig
from mfal.campaign.record import campaign_events, recorded_observations, stop_reason
from mfal.laboratory.ask import can_go_on
from mfal.laboratory.requests import requests
from mfal.laboratory.told import read_told


class Standing(BaseModel):
    """Figures of a campaign.

    Attributes:
        campaign: its name.
        budget_eur: all that may be spent.
        spent_eur: paid so far.
        answers: over all fidelities.
        waiting: requests without a result.
        unlearnt: results that the campaign has not learnt from yet.
        can_go_on: asking for the batch will make it learn or decide.
        stopped: why it ended; None while it goes on.
    """

    campaign: str
    budget_eur: float
    spent_eur: float
    answers: int
    waiting: int
    unlearnt: int
    can_go_on: bool
    stopped: str | None


def standing(directory: Path) -> Standing:
    """Return the figures of the campaign in `directory`, without disturbing it.

    Raises:
        LedgerError: there is no campaign, or a ledger does not verify.
    """
    events, told = campaign_events(directory), read_told(directory)
    config = CampaignConfig.model_validate(events[0].payload["config"])
    observations = recorded_observations(events)
    open_ = [one for one in requests(config, events).values() if not one.answered]
    return Standing(
        campaign=config.campaign.name,
        budget_eur=config.campaign.budget_eur,
        spent_eur=sum(one.price_eur for one in observations),
        answers=len(observations),
        waiting=sum(one.key not in told.revisions for one in open_),
        unlearnt=sum(one.key in told.revisions for one in open_),
        can_go_on=can_go_on(config, events, told),
        stopped=stop_reason(events),
    )

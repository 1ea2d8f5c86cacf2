"""What the outcome of a campaign is worth, in EUR."""

from dataclasses import dataclass

import numpy as np

from mfal.campaign.config import CampaignConfig
from mfal.whatif.study import Outcomes


@dataclass(frozen=True)
class Value:
    """What the group says that success is worth.

    Attributes:
        hit_eur: of each hit, 0 if the question is of improvement.
        wanted: hits after which a further one is worth nothing.
        unit_eur: of an improvement by one unit of the property, 0 if hits are counted.
        incumbent: merit from which an improvement counts.
    """

    hit_eur: float
    wanted: float
    unit_eur: float
    incumbent: float

    @staticmethod
    def of(config: CampaignConfig) -> "Value":
        """Return what a campaign file says."""
        question, sign = config.campaign, -1.0 if config.campaign.best == "highest" else 1.0
        wanted = np.inf if question.wanted is None else float(question.wanted)
        incumbent = sign * config.property.typical_value
        return Value(question.value_of_hit_eur or 0.0, wanted, question.value_per_unit_eur or 0.0, incumbent)

    def gross(self, hits: np.ndarray, best: np.ndarray) -> np.ndarray:
        """Return what hits and the lowest merit (infinite before the first measurement) are worth, in EUR."""
        better = np.where(np.isfinite(best), np.maximum(self.incumbent - best, 0.0), 0.0)
        return self.hit_eur * np.minimum(hits, self.wanted) + self.unit_eur * better

    def net(self, outcomes: Outcomes) -> np.ndarray:
        """Return the worth of every campaign's end less what it spent, in EUR, shape (campaigns,)."""
        hits, best, spent = (np.asarray(column)[:, -1] for column in (outcomes.hits, outcomes.best, outcomes.spent_eur))
        return self.gross(hits, best) - spent

"""What a campaign looks for, without any numerics: how values compare, what counts as found, and how it reads."""

from collections.abc import Mapping
from dataclasses import dataclass

from mfal.campaign.config import CampaignConfig

# What the gains of each acquisition are measured in; None: the property's unit.
_GAIN_UNITS = {"value": "EUR", "entropy": "nats", "window_information": "nats", "thompson": "wins per sample"}


@dataclass(frozen=True)
class Goal:
    """The question of a campaign.

    Attributes:
        property_name: with spaces.
        unit: of the property.
        sign: +1 if low values are best, -1 if high ones are; without meaning for a window.
        top: candidates that count as best, None for the other questions.
        window: edges, None for the other questions.
    """

    property_name: str
    unit: str
    sign: float
    top: int | None
    window: tuple[float, float] | None

    @property
    def improves(self) -> bool:
        """The question is how much better it can get; otherwise hits are counted."""
        return self.top is None and self.window is None

    @property
    def sentence(self) -> str:
        """What is looked for, as a noun."""
        extreme = "lowest" if self.sign > 0 else "highest"
        if self.window is not None:
            return f"{self.property_name} from {self.window[0]:g} to {self.window[1]:g} {self.unit}"
        return f"the {self.top} {extreme} {self.property_name}" if self.top else f"the {extreme} {self.property_name}"

    @property
    def hits_name(self) -> str:
        """What the true hits are called."""
        return "true best" if self.window is None else "true candidates in the window"

    @property
    def chance_name(self) -> str:
        """What the probability that goes with every query is of."""
        return "P(better)" if self.improves else "P(hit)"

    def merit(self, value: float) -> float:
        """Return how far a value is from the best there could be; only the order counts, and low is good."""
        if self.window is None:
            return self.sign * value
        # Orders like the distance to the window, and inside it by the distance to its middle.
        return abs(value - 0.5 * (self.window[0] + self.window[1]))

    def hits(self, truth: Mapping[str, float]) -> tuple[str, ...]:
        """Return the candidates that are looked for, best first; the single best if the question is of improvement."""
        order = sorted(truth, key=lambda candidate: (self.merit(truth[candidate]), candidate))
        if self.window is None:
            return tuple(order[: self.top or 1])
        return tuple(candidate for candidate in order if self.window[0] <= truth[candidate] <= self.window[1])


def goal(config: CampaignConfig) -> Goal:
    """Return the question of a campaign file."""
    section, name = config.campaign, config.property.name.replace("_", " ")
    sign = -1.0 if section.best == "highest" else 1.0
    return Goal(name, config.property.unit, sign, section.top, section.window)


def worth_of_success(config: CampaignConfig) -> str:
    """Return what success is worth, in words."""
    section = config.campaign
    if section.value_per_unit_eur is not None:
        return f"an improvement by 1 {config.property.unit} is worth EUR {section.value_per_unit_eur:,.0f}"
    each = "a hit" if section.wanted is None else f"each of the first {section.wanted} hits"
    return f"{each} is worth EUR {section.value_of_hit_eur:,.0f}"


def gain_unit(config: CampaignConfig) -> str:
    """Return what the expected gains of a campaign are measured in."""
    return _GAIN_UNITS.get(config.model.acquisition, config.property.unit)


def gain_text(config: CampaignConfig, gain: float) -> str:
    """Return the expected gain of a query with its unit."""
    unit = gain_unit(config)
    return f"EUR {gain:,.1f}" if unit == "EUR" else f"{gain:.3g} {unit}"

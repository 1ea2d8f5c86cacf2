"""Table ``[constraints]`` of the campaign file: what a composition must satisfy."""

from typing import Literal

from pydantic import Field, model_validator

from mfal.campaign.section import Section


class FractionSection(Section):
    """Table ``[[constraints.fraction]]``: bounds of the atomic fraction of some elements together."""

    of: list[str] = Field(min_length=1)
    at_least: float | None = Field(default=None, ge=0, le=1)
    at_most: float | None = Field(default=None, ge=0, le=1)

    @model_validator(mode="after")
    def _some_bound(self) -> "FractionSection":
        if self.at_least is None and self.at_most is None:
            raise ValueError("give at_least, at_most or both")
        return self


class RatioSection(Section):
    """Table ``[[constraints.ratio]]``: atoms of one group of elements to those of another, such as M:X = 1:2."""

    of: list[str] = Field(min_length=1)
    to: list[str] = Field(min_length=1)
    amounts: tuple[int, int] = Field(strict=False)

    @model_validator(mode="after")
    def _proper(self) -> "RatioSection":
        if min(self.amounts) < 1 or set(self.of) & set(self.to):
            raise ValueError("give two groups without a common element, and two amounts from 1 on")
        return self


class ConstraintsSection(Section):
    """Table ``[constraints]``: all of it has to be met; what is not stated is free.

    ``charge = "alloy"`` exempts from charge balance and says so: elements that no alloy contains are then refused.
    """

    elements: list[str] | None = Field(default=None, min_length=1)
    least_elements: int | None = Field(default=None, ge=1)
    most_elements: int | None = Field(default=None, ge=1)
    charge: Literal["balanced", "alloy"] | None = None
    oxidation_states: dict[str, list[int]] = Field(default_factory=dict)
    fraction: list[FractionSection] = Field(default_factory=list)
    ratio: list[RatioSection] = Field(default_factory=list)

    @property
    def declared(self) -> bool:
        """Whether anything is."""
        return self != ConstraintsSection()

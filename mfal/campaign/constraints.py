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


class StructureSection(Section):
    """Table ``[constraints.structure]``: what a structure that a cheaper fidelity found must satisfy."""

    closest: float = Field(default=0.6, gt=0, le=1)
    density_g_cm3: tuple[float, float] = Field(default=(0.08, 25.0), strict=False)
    symmetry_tolerance_a: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _ordered(self) -> "StructureSection":
        if not 0.0 <= self.density_g_cm3[0] < self.density_g_cm3[1]:
            raise ValueError("give density_g_cm3 = [least, greatest]")
        return self


class StabilitySection(Section):
    """Table ``[constraints.stability]``: how far above the hull a candidate may be, by which fidelities.

    ``error_ev_per_atom`` has the standard deviation of the error of each fidelity that is believed.
    """

    tolerance_ev_per_atom: float = Field(ge=0)
    confidence: float = Field(default=0.9, gt=0.5, lt=1)
    error_ev_per_atom: dict[str, float] = Field(min_length=1)

    @model_validator(mode="after")
    def _errors(self) -> "StabilitySection":
        if min(self.error_ev_per_atom.values()) < 0.0:
            raise ValueError("give standard deviations from 0 on in error_ev_per_atom")
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
    structure: StructureSection | None = None
    stability: StabilitySection | None = None

    @property
    def declared(self) -> bool:
        """Whether anything is."""
        return self != ConstraintsSection()

    @property
    def on_compositions(self) -> bool:
        """Whether anything is declared that a formula alone can meet or miss."""
        return self.model_copy(update={"structure": None, "stability": None}).declared

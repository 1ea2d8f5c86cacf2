"""What is asked of a laboratory: a typed recipe, and what another platform makes of the same one."""

import math
from dataclasses import dataclass

GAS_CONSTANT = 8.314462618  # J/(mol K)


@dataclass(frozen=True)
class Precursor:
    """What is weighed in: a formula and its mass."""

    formula: str
    mass_mg: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mass_mg) and self.mass_mg > 0.0):
            raise ValueError(f"{self.formula} has {self.mass_mg=}: give a positive mass in milligram")


@dataclass(frozen=True)
class Ramp:
    """A part of the temperature profile: to a temperature at a rate, upwards or downwards."""

    to_kelvin: float
    kelvin_per_hour: float

    def __post_init__(self) -> None:
        if not (0.0 < self.to_kelvin < math.inf and 0.0 < self.kelvin_per_hour < math.inf):
            raise ValueError(f"{self.to_kelvin=}, {self.kelvin_per_hour=}: give a temperature and a positive rate")


@dataclass(frozen=True)
class Recipe:
    """How a sample is to be made.

    Attributes:
        product: formula that it is meant to become.
        precursors: weighed in.
        heating: ramps before the hold; the last ends at its temperature.
        hold_minutes: at that temperature.
        cooling: ramps after it.
        atmosphere: formula of the gas, ``vacuum`` or ``air``.
        vessel: such as ``alumina crucible``.
        contact_materials: whatever else touches the sample while it is hot.
    """

    product: str
    precursors: tuple[Precursor, ...]
    heating: tuple[Ramp, ...]
    hold_minutes: float
    cooling: tuple[Ramp, ...]
    atmosphere: str
    vessel: str
    contact_materials: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.precursors or not self.heating:
            raise ValueError(f"the recipe of {self.product} needs a precursor, and a ramp to the hold")
        if not (math.isfinite(self.hold_minutes) and self.hold_minutes >= 0.0):
            raise ValueError(f"the recipe of {self.product} has {self.hold_minutes=}: give minutes, 0 or more")

    @property
    def hold_kelvin(self) -> float:
        """Temperature of the hold."""
        return self.heating[-1].to_kelvin


@dataclass(frozen=True)
class Platform:
    """What a furnace really does to a sample, beside what its controller shows.

    Attributes:
        name: of the platform.
        offset_kelvin: sample minus set temperature.
        loss_share_per_hour: mass that evaporates in an hour at `reference_kelvin`.
        reactive: vessels and contact materials that dissolve in the sample.
        pickup_share: of the sample, from each reactive material.
        rate_per_hour: of the reaction at `reference_kelvin`.
        barrier_kj_per_mol: of reaction and evaporation (Arrhenius).
        reference_kelvin: at which the rates are given.
    """

    name: str = "reference"
    offset_kelvin: float = 0.0
    loss_share_per_hour: float = 0.0
    reactive: frozenset[str] = frozenset()
    pickup_share: float = 0.0
    rate_per_hour: float = 1.0
    barrier_kj_per_mol: float = 150.0
    reference_kelvin: float = 1300.0


@dataclass(frozen=True)
class Product:
    """What has become of a sample.

    Attributes:
        conversion: share that has reacted, 0 to 1.
        loss_share: of the mass, that has evaporated.
        pickup_share: of the mass, that came from vessel and contact materials.
    """

    conversion: float
    loss_share: float
    pickup_share: float

    def shift(self, per_unreacted: float, per_impurity: float) -> float:
        """Return how far the property is off, given its slopes on the unreacted share and on lost or gained mass."""
        return per_unreacted * (1.0 - self.conversion) + per_impurity * (self.loss_share + self.pickup_share)


def made(recipe: Recipe, platform: Platform, deviation_kelvin: float = 0.0) -> Product:
    """Return what a platform makes of a recipe: first-order reaction and evaporation during the hold.

    Args:
        recipe: nominal.
        platform: with its systematic offsets.
        deviation_kelvin: of this run from the platform's usual temperature.
    """
    kelvin = max(recipe.hold_kelvin + platform.offset_kelvin + deviation_kelvin, 1.0)
    exponent = platform.barrier_kj_per_mol * 1e3 / GAS_CONSTANT * (1.0 / platform.reference_kelvin - 1.0 / kelvin)
    hours = math.exp(min(exponent, 50.0)) * recipe.hold_minutes / 60.0
    touched = {recipe.vessel, *recipe.contact_materials} & platform.reactive
    return Product(
        conversion=-math.expm1(-platform.rate_per_hour * hours),
        loss_share=-math.expm1(-platform.loss_share_per_hour * hours),
        pickup_share=platform.pickup_share * len(touched),
    )

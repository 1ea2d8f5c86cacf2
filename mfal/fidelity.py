"""Fidelities and the ladder: the priced sources of one property."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Fidelity:
    """One priced source of a property.

    Nothing assumes that a dearer fidelity is better or that a cheap one resembles the target.

    Attributes:
        name: unique in the ladder, as it appears in the ledger.
        oracle: entry point (group ``mfal.oracles``) that answers its queries.
        price_eur: expected price of one query; the price paid comes with the observation.
        latency_hours: time from submission to answer on the campaign's clock.
        capacity: queries that may be in flight at once.
        noise_sd: standard deviation of one answer, in the property's unit, where the answer reports none.
        limit: queries in the whole campaign, such as a furnace's share of the year; None if only money limits them.
        requires: fidelities that must have answered for a candidate before this one may be asked.
        options: passed to the oracle unchanged.
        mistaken_share: share of the answers that may be about something else than was asked.
    """

    name: str
    oracle: str
    price_eur: float
    latency_hours: float
    capacity: int
    noise_sd: float
    limit: int | None = None
    requires: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    mistaken_share: float = 0.0

    def sd_of(self, reported: float | None) -> float:
        """Return the standard deviation of an answer: as reported, or else what is declared."""
        return self.noise_sd if reported is None else reported


@dataclass(frozen=True)
class Ladder:
    """The fidelities of one property, and which of them the decision is about.

    Attributes:
        property_name: what every fidelity estimates, for example ``formation_energy``.
        unit: its unit, for example ``eV/atom``.
        fidelities: in modelling order; each is regressed on the one before it.
        target: name of the fidelity that the question is about.
    """

    property_name: str
    unit: str
    fidelities: Sequence[Fidelity]
    target: str

    @property
    def names(self) -> tuple[str, ...]:
        """Names in modelling order."""
        return tuple(fidelity.name for fidelity in self.fidelities)

    @property
    def target_index(self) -> int:
        """Position of the target."""
        return self.index(self.target)

    def index(self, name: str) -> int:
        """Position of the fidelity called `name`."""
        return self.names.index(name)

    def __getitem__(self, name: str) -> Fidelity:
        return self.fidelities[self.index(name)]

    def __len__(self) -> int:
        return len(self.fidelities)

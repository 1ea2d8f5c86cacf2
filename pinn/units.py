"""Lengths, times, energy densities and interface energies with their units, as people type them."""

import math
import re
from dataclasses import dataclass

from pinn.errors import DataRefusedError

METRES = {"pm": 1e-12, "Å": 1e-10, "nm": 1e-9, "um": 1e-6, "mm": 1e-3, "cm": 1e-2, "m": 1.0}
SECONDS = {"ps": 1e-12, "ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
JOULES_PER_VOLUME = {
    "J/m^3": 1.0, "kJ/m^3": 1e3, "MJ/m^3": 1e6, "GJ/m^3": 1e9, "J/cm^3": 1e6,
    "Pa": 1.0, "kPa": 1e3, "MPa": 1e6, "GPa": 1e9,
}  # fmt: skip
JOULES_PER_AREA = {"J/m^2": 1.0, "mJ/m^2": 1e-3, "erg/cm^2": 1e-3}
# Other spellings, of people and of files.
_SAME = {
    "µm": "um", "μm": "um", "micron": "um", "microns": "um", "micrometer": "um", "micrometre": "um",
    "nanometer": "nm", "nanometre": "nm", "millimeter": "mm", "millimetre": "mm", "meter": "m", "metre": "m",
    "angstrom": "Å", "Angstrom": "Å", "A": "Å", "sec": "s", "second": "s", "seconds": "s", "millisecond": "ms",
    "µs": "us", "μs": "us", "microsecond": "us",
    "minute": "min", "minutes": "min", "hour": "h", "hours": "h", "day": "d", "days": "d",
}  # fmt: skip
_AMOUNT = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(\S.*?)?\s*")


@dataclass(frozen=True)
class Amount:
    """A number with its unit, as it was told."""

    value: float
    unit: str

    def __str__(self) -> str:
        return f"{self.value:g} {self.unit}"


def length(text: str, name: str) -> Amount:
    """Read a positive length such as "0.2um".

    Raises:
        DataRefusedError: no number, no unit, an unknown unit, or nothing positive; `name` says of what.
    """
    return _positive(_amount(text, name, METRES, "0.2um"), name)


def duration(text: str, name: str) -> Amount:
    """Read a positive time such as "2s"; raises as `length` does."""
    return _positive(_amount(text, name, SECONDS, "2s"), name)


def energy_density(text: str, name: str) -> float:
    """Read an energy per volume, of either sign, in J/m^3; raises as `length` does."""
    amount = _amount(text, name, JOULES_PER_VOLUME, "2e6 J/m^3")
    return amount.value * JOULES_PER_VOLUME[amount.unit]


def interface_energy(text: str, name: str) -> float:
    """Read a positive energy per area, in J/m^2; raises as `length` does."""
    amount = _positive(_amount(text, name, JOULES_PER_AREA, "0.3 J/m^2"), name)
    return amount.value * JOULES_PER_AREA[amount.unit]


def known_unit(unit: str, units: dict[str, float]) -> str | None:
    """Return how a file's unit is spelt here, None where it is none of `units`."""
    cleaned = (
        unit.strip().replace("**", "^").replace("³", "^3").replace("²", "^2").replace("m3", "m^3").replace("m2", "m^2")
    )
    spelt = _SAME.get(cleaned, cleaned)
    return spelt if spelt in units else None


def _amount(text: str, name: str, units: dict[str, float], example: str) -> Amount:
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise DataRefusedError(f"{name} {text!r} is no number with a unit; write it as {example!r}")
    number, unit = match.groups()
    if not unit:
        raise DataRefusedError(f"{name} {text!r} has no unit; write it as {example!r}")
    known = known_unit(unit, units)
    if known is None:
        raise DataRefusedError(f"{name} {text!r}: the unit {unit!r} is none of {', '.join(units)}{_hint(unit)}")
    if not math.isfinite(float(number)):
        raise DataRefusedError(f"{name} {text!r} is not finite; write it as {example!r}")
    return Amount(float(number), known)


def _hint(unit: str) -> str:
    return "; divide by the molar volume" if "mol" in unit else ""


def _positive(amount: Amount, name: str) -> Amount:
    if amount.value <= 0.0:
        raise DataRefusedError(f"{name} {amount} is not positive; give what the instrument recorded")
    return amount

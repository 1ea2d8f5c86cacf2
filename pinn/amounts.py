"""Lengths, times, energy densities and interface energies with their units, as people type them."""

import math
import re
from dataclasses import dataclass

from pinn.errors import DataRefusedError
from pinn.units import METRES, SECONDS

_JOULES_PER_VOLUME = {
    "J/m^3": 1.0, "kJ/m^3": 1e3, "MJ/m^3": 1e6, "GJ/m^3": 1e9, "J/cm^3": 1e6,
    "Pa": 1.0, "kPa": 1e3, "MPa": 1e6, "GPa": 1e9,
}  # fmt: skip
_JOULES_PER_AREA = {"J/m^2": 1.0, "mJ/m^2": 1e-3, "erg/cm^2": 1e-3}
# Other spellings, of people and of files.
_SAME = {
    "µm": "um", "μm": "um", "micron": "um", "microns": "um", "micrometer": "um", "micrometre": "um",
    "nanometer": "nm", "nanometre": "nm", "millimeter": "mm", "millimetre": "mm", "meter": "m", "metre": "m",
    "Å": "angstrom", "Angstrom": "angstrom", "A": "angstrom",
    "sec": "s", "second": "s", "seconds": "s", "millisecond": "ms", "µs": "us", "μs": "us", "microsecond": "us",
    "minute": "min", "minutes": "min", "hour": "h", "hours": "h", "day": "d", "days": "d",
}  # fmt: skip
_NUMBER = r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
_AMOUNT = re.compile(rf"\s*{_NUMBER}\s*(?:(?:±|\+-|\+/-)\s*{_NUMBER})?\s*([^\s\d.±+-].*?)?\s*")


@dataclass(frozen=True)
class Measured:
    """A number from another experiment, with its standard deviation."""

    value: float
    sd: float
    unit: str


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
    return _exact(text, name, METRES, "0.2um")


def duration(text: str, name: str) -> Amount:
    """Read a positive time such as "2s"; raises as `length` does."""
    return _exact(text, name, SECONDS, "2s")


def energy_density(text: str, name: str) -> Measured:
    """Read an energy per volume, of either sign, in J/m^3, such as "2.0 +- 0.1 MJ/m^3"; raises as `length` does."""
    return _measured(text, name, _JOULES_PER_VOLUME, "2e6 J/m^3")


def interface_energy(text: str, name: str) -> Measured:
    """Read a positive energy per area, in J/m^2, such as "0.30 +- 0.02 J/m^2"; raises as `length` does."""
    measured = _measured(text, name, _JOULES_PER_AREA, "0.3 J/m^2")
    if measured.value <= 0.0:
        raise DataRefusedError(f"{name} {text!r} is not positive; an interface costs energy")
    return measured


def known_unit(unit: str, units: dict[str, float]) -> str | None:
    """Return how a file's unit is spelt here, None where it is none of `units`."""
    cleaned = re.sub(r"m\^?(?:\*\*)?([23]|²|³)$", lambda found: f"m^{_DIGITS.get(found[1], found[1])}", unit.strip())
    spelt = _SAME.get(cleaned, cleaned)
    return spelt if spelt in units else None


_DIGITS = {"²": "2", "³": "3"}


def _exact(text: str, name: str, units: dict[str, float], example: str) -> Amount:
    value, uncertainty, unit = _read(text, name, units, example)
    if uncertainty:
        raise DataRefusedError(f"{name} {text!r} has no place for an uncertainty; write it as {example!r}")
    if value <= 0.0:
        raise DataRefusedError(f"{name} {text!r} is not positive; give what the instrument recorded")
    return Amount(value, unit)


def _measured(text: str, name: str, units: dict[str, float], example: str) -> Measured:
    value, uncertainty, unit = _read(text, name, units, example)
    if uncertainty < 0.0:
        raise DataRefusedError(f"{name} {text!r}: an uncertainty is no negative number")
    return Measured(value * units[unit], uncertainty * units[unit], next(iter(units)))


def _read(text: str, name: str, units: dict[str, float], example: str) -> tuple[float, float, str]:
    """Return number, uncertainty (0 where none is told) and unit."""
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise DataRefusedError(f"{name} {text!r} is no number with a unit; write it as {example!r}")
    number, uncertainty, unit = match.groups()
    if not unit:
        raise DataRefusedError(f"{name} {text!r} has no unit; write it as {example!r}")
    known = known_unit(unit, units)
    if known is None:
        hint = "; divide by the molar volume" if "mol" in unit else ""
        raise DataRefusedError(f"{name} {text!r}: the unit {unit!r} is none of {', '.join(units)}{hint}")
    if not math.isfinite(float(number)) or not math.isfinite(float(uncertainty or 0.0)):
        raise DataRefusedError(f"{name} {text!r} is not finite; write it as {example!r}")
    return float(number), float(uncertainty or 0.0), known

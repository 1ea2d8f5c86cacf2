"""Units of length and time, and what they make of rates."""

METRES = {"m": 1.0, "cm": 1e-2, "mm": 1e-3, "um": 1e-6, "µm": 1e-6, "nm": 1e-9, "angstrom": 1e-10, "pm": 1e-12}
SECONDS = {"d": 86400.0, "h": 3600.0, "min": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "ps": 1e-12}


def si_factors(length_unit: str, time_unit: str) -> tuple[float, float] | None:
    """Return metres and seconds of these units, or None where one of them is no physical unit."""
    if length_unit not in METRES or time_unit not in SECONDS:
        return None
    return METRES[length_unit], SECONDS[time_unit]

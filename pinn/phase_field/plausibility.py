"""Whether inferred rates can be those of matter: what a wrong unit makes impossible is caught here."""

import numpy as np

from pinn.estimate import Check, Estimate
from pinn.phase_field.models import AllenCahn, Model
from pinn.series import ImageSeries
from pinn.units import si_factors

_WIDTH = "interface width"
# An interface thinner than half an atom is none: atoms are .2 to .5 nm apart.
_THINNEST_M = 1e-10
# Sound in diamond, the fastest in any solid, is 18 km/s; an interface that moves by atoms cannot overtake it.
_FASTEST_M_PER_S = 2e4
# Ten times the thermal diffusivity of diamond, the fastest diffusive transport in condensed matter at room temperature.
_MOST_DIFFUSIVE_M2_PER_S = 1e-2
# Atoms vibrate some 1e13 times a second, the lightest 1e14; order does not relax faster.
_FASTEST_PER_S = 1e14
# Tungsten's surface has 4 J/m^2, the largest of the elements.
_DEAREST_J_PER_M2 = 10.0


def plausible(series: ImageSeries, model: Model, estimate: Estimate) -> tuple[Check, ...]:
    """Return checks that the quantities can be those of matter seen in this window.

    Only the width against the window is checked where lengths are in pixels. Quantities are found by their symbols.
    """
    values = {quantity.symbol: quantity.value for quantity in (*estimate.identified, *estimate.separate)}
    checks = [_window(series, values[_WIDTH])] if _WIDTH in values else []
    factors = si_factors(series.length_unit, series.time_unit)
    if factors is not None:
        metre, second = factors
        # What a flux of composition, or of order, is per gradient: area per time in both equations.
        diffusivity = values.get("M kappa" if isinstance(model, AllenCahn) else "M W")
        width = values[_WIDTH] * metre if _WIDTH in values else None
        checks += _of_matter(width, None if diffusivity is None else diffusivity * metre**2 / second)
    if "sigma" in values:
        checks.append(_below("interface energy", values["sigma"], _DEAREST_J_PER_M2, "J/m^2", "any surface's"))
    return tuple(checks)


def _window(series: ImageSeries, width: float) -> Check:
    """Check that both phases fit beside the interface: it reaches 2 l to each side."""
    window = series.pixel_size * min(series.frames.shape[1:])
    reason = f"the interface, 4 l = {4 * width:.3g}, must fit in the window of {window:.3g} {series.length_unit}"
    return Check("interface inside the window", bool(4 * width <= window), 4 * width, window, reason)


def _of_matter(width_m: float | None, diffusivity_m2_per_s: float | None) -> list[Check]:
    checks = []
    if width_m is not None:
        reason = f"{width_m:.3g} m; half an atom is {_THINNEST_M:g} m"
        checks.append(_check("interface of atoms", width_m >= _THINNEST_M, width_m, _THINNEST_M, reason))
    if diffusivity_m2_per_s is not None:
        checks.append(_below("diffusivity", diffusivity_m2_per_s, _MOST_DIFFUSIVE_M2_PER_S, "m^2/s", "matter's"))
    if width_m is not None and diffusivity_m2_per_s is not None:
        speed, rate = diffusivity_m2_per_s / width_m, diffusivity_m2_per_s / width_m**2
        checks.append(_below("speed of interfaces", speed, _FASTEST_M_PER_S, "m/s", "sound's"))
        checks.append(_below("relaxation", rate, _FASTEST_PER_S, "1/s", "vibrating atoms'"))
    return checks


def _below(name: str, value: float, most: float, unit: str, whose: str) -> Check:
    reason = f"{value:.3g} {unit}; {whose} is at most {most:g} {unit}"
    return _check(name, np.isfinite(value) and value <= most, value, most, reason)


def _check(name: str, passed: bool | np.bool, value: float, limit: float, reason: str) -> Check:
    remedy = "" if passed else "; check the units of pixel size and frame time"
    return Check(name, bool(passed), float(value), limit, reason + remedy)

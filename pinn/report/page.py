"""One self-contained page per inference: opens offline, every text escaped."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pinn.estimate import Estimate, Quantity, Spectrum
from pinn.report.plots import fit_plot, frames_plot, posterior_plot, spectrum_plot
from pinn.report.record import Inference, versions
from pinn.report.rendering import write_rendered
from pinn.stiffness.estimate import StiffnessEstimate


@dataclass(frozen=True)
class Card:
    """One figure at the head of the page; `tone` is "warn" where it deserves a look."""

    figure: str
    text: str
    tone: str = ""


@dataclass(frozen=True)
class Row:
    """A quantity as people read it: no more digits than its interval is worth."""

    symbol: str
    value: str
    low: str
    high: str
    relative: str
    unit: str


def write_page(inference: Inference, path: Path) -> Path:
    """Write the page of an inference to `path` and return it.

    Raises:
        MissingPackageError: jinja2 or matplotlib is not installed.
    """
    return write_rendered("page.html", _content(inference), _plots(inference), path)


def rows(quantities: tuple[Quantity, ...]) -> list[Row]:
    """Return quantities rounded to two digits of their standard deviation."""
    return [_row(quantity) for quantity in quantities]


def verdict(estimate: Estimate | StiffnessEstimate) -> Card:
    """Return the first card: whether an estimate is to be trusted."""
    if estimate.failed:
        return Card("not to be trusted", f"failed: {', '.join(estimate.failed)}", "warn")
    return Card("trusted", f"all {len(estimate.checks)} checks passed")


def hoped(spectrum: Spectrum) -> str:
    """Return what start values say of the deviation of each combination, in words."""
    deviations = [f"± {100 * sd:.1g} %" if np.isfinite(sd) else "not at all" for sd in spectrum.deviations]
    return "; ".join(f"{spectrum.words(number)}: {text}" for number, text in enumerate(deviations))


def _row(quantity: Quantity) -> Row:
    digits = _digits(abs(quantity.value), quantity.sd)
    # With "#" zeros at the end are kept: they are known.
    value, low, high = (f"{n:#.{digits}g}".rstrip(".") for n in (quantity.value, quantity.low, quantity.high))
    relative = f"{100 * quantity.sd / abs(quantity.value):.2g} %" if quantity.value else f"{quantity.sd:.2g}"
    return Row(quantity.symbol, value, low, high, relative, _pretty(quantity.unit))


def _pretty(unit: str) -> str:
    return unit.replace("^2", "²").replace("^3", "³").replace("um", "µm")


def _digits(size: float, sd: float) -> int:
    """Return how many digits of a number are worth showing, the last being the second one of its deviation."""
    if not (np.isfinite(size) and np.isfinite(sd) and size > 0 and sd > 0):
        return 3
    return int(np.clip(np.floor(np.log10(size)) - np.floor(np.log10(sd)) + 2, 2, 8))


def _content(inference: Inference) -> dict[str, Any]:
    estimate = inference.estimate
    return {
        "title": inference.path.name,
        "lead": _lead(inference),
        "cards": _cards(inference),
        "quantities": rows((*estimate.identified, *estimate.separate)),
        "ridge": estimate.ridge,
        "hoped": "" if inference.foretold is None else hoped(inference.foretold),
        "intervals": estimate.intervals,
        "checks": estimate.checks,
        "log": _log(inference),
    }


def _plots(inference: Inference) -> dict[str, str]:
    found = inference.estimate.spectrum
    return {
        "posterior_svg": posterior_plot(inference.estimate),
        "spectrum_svg": "" if found is None else spectrum_plot(found),
        "frames_svg": frames_plot(inference.series, inference.estimate),
        "fit_svg": fit_plot(inference.series, inference.estimate),
    }


def _lead(inference: Inference) -> str:
    series, model = inference.series, type(inference.model).__name__.replace("nC", "n-C").replace("nH", "n-H")
    pixels = " x ".join(str(n) for n in series.frames.shape[1:])
    size = "" if series.length_unit == "pixel" else f" of {series.pixel_size:g} {series.length_unit}"
    span = "" if series.time_unit == "frame" else f" over {series.times[-1] - series.times[0]:g} {series.time_unit}"
    estimate = inference.estimate
    return (f"{model}, {len(series.times)} frames of {pixels} pixels{size}{span}; "
            f"back end: {estimate.backend}, {estimate.seconds:.1f} s")  # fmt: skip


def _cards(inference: Inference) -> list[Card]:
    estimate = inference.estimate
    cards = [verdict(estimate), *map(_number, rows((*estimate.identified, *estimate.separate)))]
    if not estimate.separate:
        cards.append(Card("no scale", "mobility and energies are known only as products: see the ridge", "warn"))
    contrast = np.ptp(np.nanpercentile(inference.series.frames, (5, 95)))
    cards.append(Card(f"{100 * estimate.noise_sd / contrast:.2g} %", "noise of a pixel, of the contrast"))
    if inference.advice:
        cards.append(Card("advice", inference.advice, "warn"))
    return cards


def _number(row: Row) -> Card:
    return Card(f"{row.value} {row.unit}", f"{row.symbol}, ± {row.relative}")


def _log(inference: Inference) -> list[tuple[str, str]]:
    return [
        ("images (SHA-256)", inference.sha256),
        ("model", str(inference.model)),
        ("noise of a pixel", f"{inference.estimate.noise_sd:.4g} in units of the intensities"),
        ("versions", ", ".join(f"{name} {number}" for name, number in versions().items())),
    ]

"""Plots of one inference as inline SVG."""

from typing import Any

import numpy as np

from pinn.estimate import Estimate, Spectrum
from pinn.report.drawing import INK, OURS, SOFT, WARN, draw
from pinn.series import ImageSeries

# Frames that are drawn of a series.
_SHOWN = 5
# Residuals are drawn between so many standard deviations of the noise.
_RESIDUAL_RANGE = 4.0
# Of a Gaussian with two dimensions: squared radius that holds 95 %.
_ELLIPSE_95 = 5.991


def frames_plot(series: ImageSeries, estimate: Estimate) -> str:
    """Draw some frames as measured and as fitted, and the residual in standard deviations of the noise."""
    return draw(lambda plt: _frames(plt, series, estimate))


def posterior_plot(estimate: Estimate) -> str:
    """Draw the joint 95 % region of the first two identified quantities, and the marginal of each."""
    return draw(lambda plt: _posterior(plt, estimate))


def fit_plot(series: ImageSeries, estimate: Estimate) -> str:
    """Draw how the fit came to rest, and its residuals beside the noise that it assumes."""
    return draw(lambda plt: _fit(plt, series, estimate))


def spectrum_plot(spectrum: Spectrum) -> str:
    """Draw how well each combination of the separate parameters is known."""
    return draw(lambda plt: _spectrum(plt, spectrum))


def _frames(plt, series: ImageSeries, estimate: Estimate):
    measured, fitted = _drawn(series.frames), _drawn(estimate.fitted)
    numbers = np.unique(np.linspace(0, len(measured) - 1, _SHOWN).round().astype(int)).tolist()
    low, high = np.nanpercentile(measured, (0.5, 99.5))
    grey: dict[str, Any] = {"cmap": "gray", "vmin": low, "vmax": high}
    diverging: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -_RESIDUAL_RANGE, "vmax": _RESIDUAL_RANGE}
    stacks = (("measured", measured, grey), ("fitted", fitted, grey),
              ("residual / noise", (measured - fitted) / estimate.noise_sd, diverging))  # fmt: skip
    figure, panels = plt.subplots(3, len(numbers), figsize=(2.1 * len(numbers) + 1.2, 6.4), squeeze=False)
    for panel_row, (name, stack, colours) in zip(panels, stacks, strict=True):
        for axes, number in zip(panel_row, numbers, strict=True):
            _image(axes, stack[number], colours)
        panel_row[0].set_ylabel(name)
        figure.colorbar(panel_row[-1].images[0], ax=list(panel_row), fraction=0.05 / len(numbers), pad=0.01)
    for axes, number in zip(panels[0], numbers, strict=True):
        axes.set_title(_when(series, number), fontsize=9, loc="center", fontweight="normal")
    return figure


def _image(axes, pixels: np.ndarray, colours: dict[str, Any]) -> None:
    axes.set_facecolor("#f0e6c8")
    aspect = "equal" if max(pixels.shape) < 4 * min(pixels.shape) else "auto"
    axes.imshow(pixels, interpolation="nearest", aspect=aspect, **colours)
    axes.set(xticks=[], yticks=[])


def _drawn(frames: np.ndarray) -> np.ndarray:
    """Return pictures: the frames, the middle slices of volumes, or one of time against place."""
    if frames.ndim == 2:
        return frames[None]
    return frames[:, frames.shape[1] // 2] if frames.ndim == 4 else frames


def _when(series: ImageSeries, number: int) -> str:
    if series.frames.ndim == 2:
        return f"downwards: time to {series.times[-1]:g} {series.time_unit}"
    if series.time_unit == "frame":
        return f"frame {series.times[number]:g}"
    return f"{series.times[number]:g} {series.time_unit}"


def _posterior(plt, estimate: Estimate):
    names = [quantity.symbol for quantity in estimate.identified]
    count = min(len(names), 3)
    figure, panels = plt.subplots(1, 1 + count, figsize=(3.4 * (1 + count), 3.2), squeeze=False)
    if len(names) >= 2:
        _ellipse(panels[0][0], 100 * np.sqrt(_ELLIPSE_95) * _root(estimate.covariance[:2, :2]), names)
    else:
        panels[0][0].axis("off")
    for axes, quantity in zip(panels[0][1:], estimate.identified, strict=False):
        across = np.linspace(quantity.value - 4 * quantity.sd, quantity.value + 4 * quantity.sd, 200)
        density = np.exp(-0.5 * ((across - quantity.value) / quantity.sd) ** 2)
        axes.plot(across, density, color=OURS)
        inside = (across >= quantity.low) & (across <= quantity.high)
        axes.fill_between(across[inside], density[inside], color=SOFT)
        axes.set(title=quantity.symbol, xlabel=quantity.unit, yticks=[])
        axes.locator_params(axis="x", nbins=4)
    figure.tight_layout(w_pad=2)
    return figure


def _root(covariance: np.ndarray) -> np.ndarray:
    """Return the symmetric root; directions without any variance stay without."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0.0))


def _ellipse(axes, root: np.ndarray, names: list[str]) -> None:
    angle = np.linspace(0.0, 2 * np.pi, 200)
    x, y = root @ np.stack([np.cos(angle), np.sin(angle)])
    axes.fill(x, y, color=SOFT)
    axes.plot(x, y, color=OURS)
    axes.plot(0, 0, "+", color=INK)
    axes.set(title="joint 95 % region", xlabel=f"{names[0]}, % off", ylabel=f"{names[1]}, % off")


def _fit(plt, series: ImageSeries, estimate: Estimate):
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 3.2))
    trace = np.asarray(estimate.trace, float)
    above = trace - np.min(trace)
    left.plot(np.arange(len(trace)), np.maximum(above, 1e-6 * max(float(above.max()), 1e-300)), "o-", ms=3, color=OURS)
    left.set(
        title="Fit", xlabel="step", ylabel="objective above its least", yscale="log" if above.max() > 0 else "linear"
    )
    residual = ((series.frames - estimate.fitted) / estimate.noise_sd).ravel()
    residual = residual[np.isfinite(residual)]
    edges = np.linspace(-5, 5, 81)
    right.hist(np.clip(residual, -5, 5), edges, density=True, color=SOFT, label="residuals")
    right.plot(edges, np.exp(-0.5 * edges**2) / np.sqrt(2 * np.pi), color=OURS, label="noise that the fit assumes")
    right.set(title="Residuals", xlabel="standard deviations of the noise", yticks=[])
    right.legend(fontsize=8)
    figure.tight_layout(w_pad=3)
    return figure


def _spectrum(plt, spectrum: Spectrum):
    figure, axes = plt.subplots(figsize=(10.5, 0.9 + 0.42 * len(spectrum.eigenvalues)))
    places = np.arange(len(spectrum.eigenvalues))
    sds = 100.0 * spectrum.deviations
    known = np.isfinite(sds)
    widths = np.where(known, sds, 10.0 * max(sds[known], default=1.0))
    axes.barh(places, widths, color=[OURS if is_known else WARN for is_known in known], height=0.6)
    for place, is_known, width in zip(places, known, widths, strict=True):
        text = f"  {width:.2g} %" if is_known else "  not known at all: the ridge"
        axes.annotate(text, (width, place), va="center", fontsize=9)
    axes.set(
        yticks=places, yticklabels=[_product(row, spectrum.parameters) for row in spectrum.directions], xscale="log"
    )
    axes.set(xlabel="standard deviation of the combination, %", xlim=(None, 8 * widths.max()))
    axes.invert_yaxis()
    return figure


def _product(direction: np.ndarray, parameters: tuple[str, ...]) -> str:
    """Write a direction in logarithms as a product of powers, the largest one 1."""
    powers = direction / direction[np.argmax(np.abs(direction))]
    shown = [(name, power) for name, power in zip(parameters, powers, strict=True) if abs(power) > 0.01]
    return " ".join(name if power > 0.995 else f"{name}^{power:.2f}" for name, power in shown)

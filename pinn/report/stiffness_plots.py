"""Plots of one inference of stiffness as inline SVG."""

from typing import Any

import numpy as np
from jaxtyping import Float

from pinn.report.drawing import INK, OURS, SOFT, WARN, draw
from pinn.report.stiffness_record import Window, component_names
from pinn.stiffness.data import affine_part

# Residuals are drawn between so many standard deviations of the noise.
_RESIDUAL_RANGE = 4.0
# Loads, numbered grains and constants that are still readable.
_MOST_LOADS, _MOST_NUMBERS, _MOST_CONSTANTS = 4, 60, 90


def grains_plot(window: Window) -> str:
    """Draw the grain map coloured by the stiffness of each grain along the axes of the window and in shear."""
    return draw(lambda plt: _grains(plt, window))


def displacements_plot(window: Window) -> str:
    """Draw what is left of displacements after the affine part, as measured and fitted, and the residual."""
    return draw(lambda plt: _displacements(plt, window))


def constants_plot(window: Window) -> str:
    """Draw the ratios with their 95 % intervals."""
    return draw(lambda plt: _constants(plt, window))


def bounds_plot(window: Window) -> str:
    """Draw each stiffness of the window between its bounds."""
    return draw(lambda plt: _bounds(plt, window))


def _grains(plt, window: Window):
    fields, scale = window.fields, window.estimate.scale
    dimension = fields.grain_map.ndim
    # A cut through the middle of a volume.
    grains = fields.grain_map if dimension == 2 else fields.grain_map[..., fields.grain_map.shape[2] // 2]
    factor, unit = (1.0, "over the mean") if scale is None else (scale.value, scale.unit)
    shear = 2 if dimension == 2 else 5
    panels = ((0, "along axis 0 (down)", 1.0), (1, "along axis 1 (right)", 1.0), (shear, "shear of the plane", 0.5))
    figure, axes = plt.subplots(1, 3, figsize=(11.5, 3.8))
    for panel, (row, title, mandel) in zip(axes, panels, strict=True):
        values = factor * mandel * window.estimate.grain_stiffness[:, row, row]
        image = panel.imshow(values[grains], cmap="viridis", interpolation="nearest")
        figure.colorbar(image, ax=panel, fraction=0.046, pad=0.03, label=unit)
        panel.set(xticks=[], yticks=[])
        panel.set_title(title, fontsize=10)
        _outlines(panel, grains)
    figure.tight_layout(w_pad=2)
    return figure


def _outlines(panel, grains: np.ndarray) -> None:
    """Draw boundaries of grains, and their numbers where there are few."""
    down, right = np.nonzero(grains[1:] != grains[:-1]), np.nonzero(grains[:, 1:] != grains[:, :-1])
    panel.hlines(down[0] + 0.5, down[1] - 0.5, down[1] + 0.5, color="white", lw=0.8)
    panel.vlines(right[1] + 0.5, right[0] - 0.5, right[0] + 0.5, color="white", lw=0.8)
    if grains.max() >= _MOST_NUMBERS:
        return
    for grain in np.unique(grains):
        row, column = (float(np.median(place)) for place in np.nonzero(grains == grain))
        panel.text(column, row, str(grain), ha="center", va="center", fontsize=7, color="white",
                   bbox={"facecolor": INK, "alpha": 0.55, "lw": 0, "pad": 1.0})  # fmt: skip


def _displacements(plt, window: Window):
    shown = range(min(len(window.fields.loads), _MOST_LOADS))
    figure, panels = plt.subplots(len(shown), 3, figsize=(9.6, 2.7 * len(shown) + 0.4), squeeze=False)
    for number, axes in zip(shown, panels, strict=True):
        component, measured, fitted = _fluctuations(window, number)
        reach = float(np.nanpercentile(np.abs(measured), 99.5)) or 1.0
        residual = (measured - fitted) / window.estimate.noise_sd
        _image(figure, axes[0], measured, reach, window.fields.length_unit)
        _image(figure, axes[1], fitted, reach, window.fields.length_unit)
        _image(figure, axes[2], residual, _RESIDUAL_RANGE, "noise")
        axes[0].set_ylabel(f"load {number}, along axis {component}")
    for axes, title in zip(panels[0], ("measured", "fitted", "residual"), strict=True):
        axes.set_title(title)
    figure.tight_layout()
    return figure


def _fluctuations(window: Window, number: int) -> tuple[int, np.ndarray, np.ndarray]:
    """Return the component that fluctuates most and its fields, cut through the middle of a volume."""
    measured = window.fields.loads[number].displacement
    affine = affine_part(measured)[0]
    component = int(np.argmax(np.nanstd(measured - affine, axis=tuple(range(1, measured.ndim)))))
    fields = [(one - affine)[component] for one in (measured, window.estimate.fitted[number])]
    return component, *(field if field.ndim == 2 else field[..., field.shape[2] // 2] for field in fields)


def _image(figure, panel, values: Float[np.ndarray, "rows columns"], reach: float, unit: str) -> None:
    panel.set_facecolor("#f0e6c8")
    colours: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -reach, "vmax": reach}
    image = panel.imshow(values, interpolation="nearest", **colours)
    figure.colorbar(image, ax=panel, fraction=0.046, pad=0.03, label=unit)
    panel.set(xticks=[], yticks=[])


def _constants(plt, window: Window):
    ratios = window.estimate.ratios[:_MOST_CONSTANTS]
    kinds = sorted({ratio.symbol.partition(" ")[0] for ratio in ratios})
    figure, panels = plt.subplots(1, len(kinds), figsize=(11.5, 1.2 + 0.2 * len(ratios) / len(kinds)), squeeze=False)
    for panel, kind in zip(panels[0], kinds, strict=True):
        own = [ratio for ratio in ratios if ratio.symbol.partition(" ")[0] == kind]
        values, sds = np.array([(ratio.value, ratio.sd) for ratio in own]).T
        places = np.arange(len(own))
        panel.errorbar(values, places, xerr=1.96 * sds, fmt="o", ms=3.5, color=OURS, ecolor=INK, elinewidth=1)
        panel.set(yticks=places, yticklabels=[ratio.symbol.rpartition(" ")[2] for ratio in own])
        panel.set(title=kind, xlabel="over the mean stiffness", ylim=(len(own) - 0.5, -0.5))
        panel.tick_params(axis="y", labelsize=8)
        panel.grid(axis="x", color=SOFT, lw=0.7)
    panels[0][0].set_ylabel("phase")
    figure.tight_layout()
    return figure


def _bounds(plt, window: Window):
    names = component_names(window.fields.grain_map.ndim)
    shown = [name for name, (row, column) in names.items() if row == column]
    found = {name: [matrix[names[one]] for one in shown] for name, matrix in window.effective.items()}
    middle = np.array(found["periodic"])
    off = {name: 100.0 * (np.array(values) / middle - 1.0) for name, values in found.items()}
    figure, axes = plt.subplots(figsize=(11.5, 1.2 + 0.45 * len(shown)))
    places = np.arange(len(shown))
    axes.hlines(places, off["Reuss"], off["Voigt"], color=SOFT, lw=9, label="Reuss to Voigt")
    axes.hlines(
        places, off["uniform traction"], off["uniform displacement"], color=WARN, lw=3,
        label="uniform traction to uniform displacement",
    )  # fmt: skip
    axes.plot(off["periodic"], places, "o", color=OURS, label="periodic")
    axes.set(yticks=places, yticklabels=shown, ylim=(len(shown) - 0.5, -0.5), xlabel="% off the periodic stiffness")
    axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.3), ncols=3)
    return figure

"""Alloys of three elements on a Gibbs triangle, over the property they were made for, as inline SVG."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mfal.errors import ConstraintError
from mfal.report.plots import draw

_INK, _PAPER, _GREY, _BEST = "#22303c", "#ffffff", "#8a8f98", "#c4661f"
# Corners in the plane: the first left, the second right, the third on top.
_CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(0.75)]])
_LEVELS, _TICKS = 18, (0.2, 0.4, 0.6, 0.8)
_EXACT = 1e-6


@dataclass(frozen=True)
class Surface:
    """A property over compositions.

    Attributes:
        fractions: compositions, shape (points, 3), such as those of `grid`.
        values: the property there.
        label: what it is and its unit.
    """

    fractions: np.ndarray
    values: np.ndarray
    label: str


@dataclass(frozen=True)
class Panel:
    """Designs to draw on one triangle.

    Attributes:
        title: says what they are.
        designs: compositions in the order in which they were made, shape (designs, 3).
        as_asked: designs that were made as proposed are filled, the others hollow.
        best: index of the design to point out.
    """

    title: str
    designs: np.ndarray
    as_asked: np.ndarray
    best: int


def grid(steps: int = 60) -> np.ndarray:
    """Return all compositions of three elements in multiples of 1/steps, shape (points, 3)."""
    counts = [(a, b, steps - a - b) for a in range(steps + 1) for b in range(steps + 1 - a)]
    return np.array(counts) / steps


def ternary_plot(elements: Sequence[str], surface: Surface, panels: Sequence[Panel]) -> str:
    """Draw each panel's designs on the triangle of three elements, over the surface; returns SVG.

    Raises:
        ConstraintError: there are not three elements, no panel, or a point is no composition.
    """
    if len(elements) != 3:
        raise ConstraintError(f"a triangle has three corners: give three of {list(elements)=}")
    if not panels:
        raise ConstraintError("no panel, no picture: give at least one")
    for name, points in (("surface", surface.fractions), *((panel.title, panel.designs) for panel in panels)):
        _refuse(name, points)
    return draw(lambda plt: _figure(plt, elements, surface, panels))


def in_plane(fractions: np.ndarray) -> np.ndarray:
    """Return the place of compositions in the triangle of unit side, shape (points, 2)."""
    return fractions @ _CORNERS


def _refuse(name: str, points: np.ndarray) -> None:
    if points.ndim != 2 or points.shape[1] != 3:
        raise ConstraintError(f"{name}: compositions of three elements have the shape (n, 3), found {points.shape=}")
    bad = ~((points >= -_EXACT).all(axis=1) & (np.abs(points.sum(axis=1) - 1.0) <= _EXACT))
    if bad.any():
        row = int(np.argmax(bad))
        raise ConstraintError(f"{name}: {row=} is no composition, {points[row].tolist()}; its parts must sum to one")


def _figure(plt: Any, elements: Sequence[str], surface: Surface, panels: Sequence[Panel]) -> Any:
    size = (4.9 * len(panels) + 0.8, 4.7)
    figure, axes = plt.subplots(1, len(panels), figsize=size, squeeze=False, layout="constrained")
    x, y = in_plane(surface.fractions).T
    coloured = [one.tricontourf(x, y, surface.values, levels=_LEVELS, cmap="viridis") for one in axes[0]]
    for one, panel in zip(axes[0], panels, strict=True):
        _triangle(one, elements)
        _designs(one, panel)
    figure.colorbar(coloured[0], ax=list(axes[0]), label=surface.label, shrink=0.75)
    return figure


def _triangle(axes: Any, elements: Sequence[str]) -> None:
    outline = np.vstack([_CORNERS, _CORNERS[:1]])
    axes.plot(*outline.T, color=_INK, lw=1.2)
    for corner, element, away in zip(_CORNERS, elements, ((-0.03, -0.05), (0.03, -0.05), (0.0, 0.04)), strict=True):
        axes.text(*(corner + away), element, ha="center", va="center", fontsize=12, fontweight="bold", color=_INK)
    for tick in _TICKS:
        # Where the first element, then the second, then the third has this share.
        for ends in ([[tick, 1 - tick, 0], [tick, 0, 1 - tick]], [[0, tick, 1 - tick], [1 - tick, tick, 0]],
                     [[1 - tick, 0, tick], [0, 1 - tick, tick]]):  # fmt: skip
            axes.plot(*in_plane(np.array(ends)).T, color=_PAPER, lw=0.5, alpha=0.45)
        place = in_plane(np.array([[1 - tick, tick, 0], [0, 1 - tick, tick], [tick, 0, 1 - tick]]))
        for (x, y), (dx, dy) in zip(place, ((0.0, -0.035), (0.04, 0.015), (-0.04, 0.015)), strict=True):
            axes.text(x + dx, y + dy, f"{100 * tick:.0f}", ha="center", va="center", fontsize=7.5, color=_INK)
    axes.set(xlim=(-0.09, 1.09), ylim=(-0.09, 0.95))
    axes.set_aspect("equal")
    axes.axis("off")


def _designs(axes: Any, panel: Panel) -> None:
    place, filled = in_plane(panel.designs), np.asarray(panel.as_asked, bool)
    kinds = ((filled, _PAPER, _INK, "made as proposed"), (~filled, _INK + "66", _PAPER, "rescaled by hand"))
    for chosen, face, edge, label in kinds:
        if chosen.any():
            axes.scatter(*place[chosen].T, s=34, lw=1.1, facecolors=face, edgecolors=edge, label=label, zorder=3)
    x, y = place[panel.best]
    axes.scatter(x, y, marker="*", s=230, facecolors=_BEST, edgecolors=_PAPER, label="named best", zorder=4)
    axes.set_title(panel.title, fontsize=10.5)
    axes.legend(loc="upper left", fontsize=7.5, frameon=True, facecolor=_GREY, labelcolor=_PAPER)

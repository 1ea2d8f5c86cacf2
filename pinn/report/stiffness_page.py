"""One self-contained page per inference of stiffness: opens offline, every text escaped."""

from pathlib import Path
from typing import Any

import numpy as np

from pinn.report.page import Card, Row, rows, verdict
from pinn.report.record import versions
from pinn.report.rendering import write_rendered
from pinn.report.stiffness_plots import bounds_plot, constants_plot, displacements_plot, grains_plot
from pinn.report.stiffness_record import Window, component_names
from pinn.stiffness.data import affine_part


def write_page(window: Window, path: Path) -> Path:
    """Write the page of an inference to `path` and return it.

    Raises:
        MissingPackageError: jinja2 or matplotlib is not installed.
    """
    return write_rendered("stiffness.html", _content(window), _plots(window), path)


def _content(window: Window) -> dict[str, Any]:
    estimate = window.estimate
    absolute = {row.symbol: row for row in rows(estimate.absolute)}
    return {
        "title": window.path.name,
        "lead": _lead(window),
        "cards": _cards(window),
        "constants": [(row, absolute.get(row.symbol)) for row in rows(estimate.ratios)],
        "unit": "" if estimate.scale is None else estimate.scale.unit,
        "ridge": estimate.ridge,
        "approaches": list(window.effective),
        "effective": _effective(window),
        "effective_unit": window.unit,
        "source": estimate.effective.source,
        "checks": estimate.checks,
        "log": _log(window),
    }


def _plots(window: Window) -> dict[str, str]:
    return {
        "grains_svg": grains_plot(window),
        "constants_svg": constants_plot(window),
        "bounds_svg": bounds_plot(window),
        "displacements_svg": displacements_plot(window),
    }


def _lead(window: Window) -> str:
    fields, model, estimate = window.fields, window.model, window.estimate
    cells = " x ".join(str(n) for n in fields.grain_map.shape)
    forces = sum(len(load.forces) for load in fields.loads)
    phases = "one phase" if model.phase_count == 1 else f"{model.phase_count} phases"
    grains = f"{len(model.rotations)} {model.symmetry} grains of {phases}"
    return (
        f"{grains}, {cells} cells of {fields.spacing:g} {fields.length_unit}, {len(fields.loads)} loads "
        f"of up to {100 * window.strain:.2g} % mean strain, {forces} forces, "
        f"{100 * window.seen:.3g} % of the points seen; back end: {estimate.backend}, {estimate.seconds:.1f} s"
    )


def _cards(window: Window) -> list[Card]:
    estimate = window.estimate
    relative = [100 * ratio.sd / abs(ratio.value) for ratio in estimate.ratios if ratio.value]
    return [
        verdict(estimate),
        _scale(window),
        Card(f"{np.median(relative):.2g} %", f"standard deviation of a ratio, median of {len(relative)}"),
        Card(f"{window.effective['periodic'][0, 0]:.4g} {_beside(window)}", "effective C11 of the window"),
        Card(f"{100 * _noise(window):.2g} %", "noise of a displacement, of its fluctuation"),
    ]


def _scale(window: Window) -> Card:
    if window.estimate.scale is None:
        return Card("no scale", "ratios only: all stiffness may be multiplied by one factor", "warn")
    row: Row = rows((window.estimate.scale,))[0]
    return Card(f"{row.value} {row.unit}", f"mean stiffness of the grains, ± {row.relative}")


def _noise(window: Window) -> float:
    """Return the noise over the root mean square of what is left of displacements after their affine part."""
    measured = [load.displacement for load in window.fields.loads]
    left = [one - affine_part(one)[0] for one in measured]
    return window.estimate.noise_sd / float(np.sqrt(np.nanmean(np.square(left))))


def _beside(window: Window) -> str:
    return "" if window.estimate.scale is None else window.unit


def _effective(window: Window) -> list[tuple[str, list[str]]]:
    names = component_names(window.fields.grain_map.ndim)
    return [(name, [f"{matrix[place]:#.4g}" for matrix in window.effective.values()]) for name, place in names.items()]


def _log(window: Window) -> list[tuple[str, str]]:
    fields, model = window.fields, window.model
    known = f"turned by {np.rad2deg(model.orientation_sd):.3g} degrees or so" if model.orientation_sd else "exact"
    return [
        ("fields (SHA-256)", window.sha256),
        ("orientations", f"{known}; rotations of shape {model.rotations.shape}, plane {model.plane}"),
        ("noise of a displacement", f"{window.estimate.noise_sd:.4g} {fields.length_unit}"),
        ("error that all forces share", f"{100 * fields.calibration:g} %"),
        ("steps", f"{len(window.estimate.trace)}, objective {window.estimate.trace[-1]:.6g}"),
        ("versions", ", ".join(f"{name} {number}" for name, number in versions().items())),
    ]

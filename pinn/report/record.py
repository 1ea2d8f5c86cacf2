"""An inference as JSON, for other programs."""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from pinn.estimate import Estimate, Spectrum
from pinn.phase_field.models import Model
from pinn.series import ImageSeries

# Of the layout; rises when a key changes its meaning or goes.
_SCHEMA = 1
_PACKAGES = ("mfal", "jax", "jaxlib", "numpy")


@dataclass(frozen=True)
class Inference:
    """One inference with all that went into it.

    Attributes:
        path: file of the images.
        series: what was read from it.
        model: the equation and what was told of its scale.
        estimate: the outcome, every check in it.
        advice: which back end would have been better; empty where none would.
        foretold: what the start values let hope for, before the fit; None where nobody asked.
    """

    path: Path
    series: ImageSeries
    model: Model
    estimate: Estimate
    advice: str = ""
    foretold: Spectrum | None = None

    @cached_property
    def sha256(self) -> str:
        """Hash of the images' file, or of all files of a folder with their names."""
        return sha256_of(self.path)


def write_record(inference: Inference, path: Path) -> Path:
    """Write quantities, intervals, ridge and checks to `path`, the fitted frames to an NPZ file beside it."""
    estimate = inference.estimate
    fields = path.with_suffix(".npz")
    np.savez_compressed(fields, fitted=estimate.fitted, initial=estimate.initial, times=inference.series.times)
    path.write_text(json.dumps(_record(inference, fields.name), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return path


def sha256_of(path: Path) -> str:
    """Return the hash of a file, or of all files of a folder with their names."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    digest = hashlib.sha256()
    for item in sorted(item for item in path.rglob("*") if item.is_file()):
        digest.update(item.relative_to(path).as_posix().encode())
        digest.update(item.read_bytes())
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Return the versions of the packages that the numbers depend on."""
    return {name: version(name) for name in _PACKAGES}


def _record(inference: Inference, fields: str) -> dict[str, Any]:
    series, estimate = inference.series, inference.estimate
    return {
        "schema": _SCHEMA,
        "images": {
            "file": inference.path.name, "sha256": inference.sha256, "shape": list(series.frames.shape),
            "pixel_size": series.pixel_size, "length_unit": series.length_unit,
            "times": series.times.tolist(), "time_unit": series.time_unit,
        },
        "model": {"name": type(inference.model).__name__, **asdict(inference.model)},
        "backend": estimate.backend,
        "trusted": estimate.trusted,
        "identified": [_finite(asdict(quantity)) for quantity in estimate.identified],
        "log_covariance": np.asarray(estimate.covariance).tolist(),
        "separate": [_finite(asdict(quantity)) for quantity in estimate.separate],
        "ridge": estimate.ridge,
        "spectrum": _spectrum(estimate.spectrum),
        "foretold": _spectrum(inference.foretold),
        "intervals": estimate.intervals,
        "noise_sd": estimate.noise_sd,
        "checks": [_finite(asdict(check)) for check in estimate.checks],
        "advice": inference.advice,
        "fields": fields,
        "objective": [plain(value) for value in np.asarray(estimate.trace, float)],
        "seconds": estimate.seconds,
        "versions": versions(),
    }  # fmt: skip


def _spectrum(spectrum: Spectrum | None) -> dict[str, Any] | None:
    if spectrum is None:
        return None
    values, rows = np.asarray(spectrum.eigenvalues), np.asarray(spectrum.directions)
    return {"parameters": list(spectrum.parameters), "eigenvalues": values.tolist(), "directions": rows.tolist()}


def plain(value: Any) -> Any:
    """Return a number of Python's for one of NumPy's, and null for what JSON has not: infinity and NaN."""
    number = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(number, float) and not np.isfinite(number) else number


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    return {key: plain(value) for key, value in values.items()}

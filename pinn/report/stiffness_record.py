"""An inference of stiffness as JSON, for other programs."""

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from physics.elasticity.tensor import to_voigt, voigt_reuss
from pinn.report.record import plain, sha256_of, versions
from pinn.stiffness.data import GrainFields, mean_gradient
from pinn.stiffness.estimate import StiffnessEstimate, volume_fractions
from pinn.stiffness.model import GrainModel

# Of the layout; rises when a key changes its meaning or goes.
_SCHEMA = 1


@dataclass(frozen=True)
class Window:
    """One inference of stiffness with all that went into it.

    Attributes:
        path: file of the fields.
        fields: what was read from it.
        model: what is known of the grains.
        estimate: the outcome, every check in it.
    """

    path: Path
    fields: GrainFields
    model: GrainModel
    estimate: StiffnessEstimate

    @cached_property
    def sha256(self) -> str:
        """Hash of the file."""
        return sha256_of(self.path)

    @property
    def unit(self) -> str:
        """Unit of the effective stiffness."""
        scale = self.estimate.scale
        return "mean stiffness" if scale is None else scale.unit

    @cached_property
    def effective(self) -> dict[str, Float[np.ndarray, "m m"]]:
        """Stiffness of the window as a whole and its bounds from below to above, Voigt's notation, in `unit`."""
        effective, scale = self.estimate.effective, self.estimate.scale
        ends = voigt_reuss(jnp.asarray(self.estimate.grain_stiffness), jnp.asarray(volume_fractions(self.fields)))
        matrices = {
            "Reuss": ends.reuss,
            "uniform traction": effective.uniform_traction,
            "periodic": effective.periodic,
            "uniform displacement": effective.uniform_displacement,
            "Voigt": ends.voigt,
        }
        factor = 1.0 if scale is None else scale.value
        return {name: factor * np.asarray(to_voigt(jnp.asarray(matrix))) for name, matrix in matrices.items()}

    @property
    def strain(self) -> float:
        """Largest component of the mean strain of any load: a thousandth or so, or lengths are in other units."""
        gradients = [mean_gradient(load.displacement) / self.fields.spacing for load in self.fields.loads]
        return float(max(np.max(np.abs(one + one.T)) for one in gradients) / 2.0)

    @property
    def seen(self) -> float:
        """Share of the displacements that were seen."""
        return float(np.mean([np.mean(np.isfinite(load.displacement)) for load in self.fields.loads]))


def component_names(dimension: int) -> dict[str, tuple[int, int]]:
    """Return row and column of each independent component; the shear of a plane is 66 in tables."""
    digits = "126" if dimension == 2 else "123456"
    return {f"C{digits[i]}{digits[j]}": (i, j) for i in range(len(digits)) for j in range(i, len(digits))}


def write_record(window: Window, path: Path) -> Path:
    """Write constants, intervals, effective stiffness and checks to `path`, fields to an NPZ file beside it."""
    estimate, fields = window.estimate, path.with_suffix(".npz")
    np.savez_compressed(
        fields, fitted=estimate.fitted, grain_stiffness=estimate.grain_stiffness, rotations=estimate.rotations
    )
    path.write_text(json.dumps(_record(window, fields.name), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return path


def _record(window: Window, fields: str) -> dict[str, Any]:
    estimate, scale = window.estimate, window.estimate.scale
    return {
        "schema": _SCHEMA,
        "fields": {
            "file": window.path.name, "sha256": window.sha256, "cells": list(window.fields.grain_map.shape),
            "spacing": window.fields.spacing, "length_unit": window.fields.length_unit,
            "loads": len(window.fields.loads), "forces": [len(load.forces) for load in window.fields.loads],
            "seen": window.seen, "mean_strain": window.strain,
        },
        "model": {
            "symmetry": window.model.symmetry, "grains": len(window.model.rotations),
            "phases": window.model.phases.tolist(), "orientation_sd_rad": window.model.orientation_sd,
            "plane": window.model.plane,
        },
        "backend": estimate.backend,
        "trusted": estimate.trusted,
        "ratios": [asdict(ratio) for ratio in estimate.ratios],
        "ratio_covariance": estimate.covariance.tolist(),
        "scale": None if scale is None else asdict(scale),
        "absolute": [asdict(constant) for constant in estimate.absolute],
        "ridge": estimate.ridge,
        "information_eigenvalues": estimate.spectrum.tolist(),
        "effective": {
            "unit": window.unit, "notation": "Voigt", "source": estimate.effective.source,
            "imbalance": estimate.effective.residual,
            **{name: matrix.tolist() for name, matrix in window.effective.items()},
        },
        "noise_sd": estimate.noise_sd,
        "checks": [{key: plain(value) for key, value in asdict(check).items()} for check in estimate.checks],
        "fitted": fields,
        "objective": [plain(value) for value in estimate.trace],
        "seconds": estimate.seconds,
        "versions": versions(),
    }  # fmt: skip

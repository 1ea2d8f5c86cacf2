"""The movies in DeepXDE's words, with our features and start values, and the size of our network for many points."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from benchmarks.inverse.peers import PeerProblem
from pinn.phase_field.network import effort_of_device, harmonics
from pinn.phase_field.problem import Problem

# Mean squares of data beside those of residuals of order one: of 1, 10, 100 and 1000 the best after nine minutes of one
# core, for Allen-Cahn and Cahn-Hilliard.
DATA_WEIGHTS = {"allen-cahn": 1000.0, "cahn-hilliard": 10.0}


def peer_problem(problem: Problem, seed: int) -> PeerProblem:
    """Return data and equation; residuals are per time of the reaction, which makes them of order one."""
    pixels, effort = problem.measured.shape[1:], effort_of_device()
    axes = [np.asarray(problem.times), *(np.arange(size) + 0.5 for size in pixels)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
    values = np.asarray(problem.measured).reshape(-1, 1)
    chosen = np.random.default_rng(seed).permutation(len(values))[: effort.most_data]
    start = problem.vector(problem.start)
    well = float(jnp.exp(start[1]))
    conserved = problem.kind == "cahn-hilliard"
    return PeerProblem(
        low=(0.0,) * len(axes),
        high=(1.0, *map(float, pixels)),
        residual=_cahn_hilliard(float(start[0]), well) if conserved else _allen_cahn(well),
        starts=(float(start[0]), float(start[1])),
        estimates=lambda unknowns: [float(np.exp(unknowns[0])), float(np.exp(unknowns[1]))],
        points=points[chosen],
        values=values[chosen],
        collocation=effort.plan.collocation,
        anchored=False,
        features=_waves(pixels, harmonics(problem)),
        inputs=1 + 2 * harmonics(problem) * len(pixels),
        outputs=2 if conserved else 1,
        hidden=effort.hidden,
        data_weight=DATA_WEIGHTS[problem.kind],
    )


def _waves(pixels: tuple[int, ...], waves: int) -> Any:
    """Return time on [-1, 1] and sines and cosines of whole periods, as our network reads them."""

    def features(points: Any) -> Any:
        import torch

        orders = torch.arange(1, waves + 1, dtype=points.dtype, device=points.device)
        angles = [2 * np.pi / size * points[:, 1 + axis : 2 + axis] * orders for axis, size in enumerate(pixels)]
        values = [wave(angle) for wave in (torch.cos, torch.sin) for angle in angles]
        return torch.cat([2 * points[:, :1] - 1, *values], dim=1)

    return features


def _allen_cahn(scale: float) -> Any:
    def residual(points: Any, phi: Any, unknowns: list) -> Any:
        reaction = unknowns[1].exp() * 2 * phi * (1 - phi) * (1 - 2 * phi)
        return (_rate(points, phi) - unknowns[0].exp() * _laplacian(points, phi, 0) + reaction) / scale

    return residual


def _cahn_hilliard(log_gradient: float, well: float) -> Any:
    """Return conservation and chemical potential mu (over M W), each over the rate b^2/a of the start."""
    fastest = well**2 / np.exp(log_gradient)

    def residual(points: Any, outputs: Any, unknowns: list) -> list[Any]:
        c, mu = outputs[:, :1], outputs[:, 1:]
        conservation = _rate(points, outputs) - unknowns[1].exp() * _laplacian(points, outputs, 1)
        square = (unknowns[0] - unknowns[1]).exp()
        potential = mu - 2 * c * (1 - c) * (1 - 2 * c) + square * _laplacian(points, outputs, 0)
        return [conservation / fastest, potential]

    return residual


def _rate(points: Any, outputs: Any) -> Any:
    import deepxde as dde

    return dde.grad.jacobian(outputs, points, i=0, j=0)


def _laplacian(points: Any, outputs: Any, component: int) -> Any:
    import deepxde as dde

    total: Any = 0.0
    for axis in range(1, points.shape[1]):
        total = total + dde.grad.hessian(outputs, points, component=component, i=axis, j=axis)
    return total

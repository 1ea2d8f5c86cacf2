"""The plate of grains by DeepXDE (torch): networks for displacements and stresses of the three loads, strong form.

`python -m benchmarks.inverse.plate_deepxde SEED CAP_S [--wall]` prints seconds and errors; a process of its own, since
DeepXDE keeps number format and seeds for the whole process. It is given what helps it: exact orientations, affine parts
taken off, all outputs of order one, and the mean stiffness set to one by construction, since a free scale ends at zero.
"""

import json
import os
import sys
import time
from importlib import import_module
from typing import Any

import jax.numpy as jnp
import numpy as np

from benchmarks.inverse.peers import Training, train
from benchmarks.inverse.plate import LOAD_ERROR, PEER_NOISE, Case, case, constants, small_case
from benchmarks.inverse.plate_data import STRAIN, fluctuation, measured
from benchmarks.inverse.trajectory import Trajectory
from physics.elasticity.tensor import rotation_matrix
from pinn.stiffness.data import affine_part

HIDDEN = (64, 64, 64, 64)
# Beside residuals of order one; data are in units of the fluctuation, and their noise is a twentieth of it.
DATA_WEIGHT = 100.0
COLLOCATION = 2048
# Above its usual 1e-3: a few hundred steps fit into the time, and logarithms have to move by about one.
RATE = 5e-3


def deepxde_errors(seed: int, cap_s: float, wall: bool, small: bool = False) -> list[tuple[float, float]]:
    """Return (seconds, root mean square relative error of the ratios) in the course of one training.

    Args:
        seed: of the plate, noise and weights.
        cap_s: seconds; half goes to Adam, the rest to L-BFGS.
        wall: whether to count wall time rather than processor time.
        small: the short form's plate.
    """
    trajectory = Trajectory(time.perf_counter if wall else time.process_time)
    one = small_case(seed) if small else case(seed)
    training = _Training(one, seed, trajectory)
    training.run(cap_s)
    errors = [float(np.sqrt(np.mean(np.square(np.array(found) / one.ratios - 1)))) for found in trajectory.estimates]
    return list(zip(trajectory.seconds, errors, strict=True))


class _Training:
    """One training: holds the torch tensors that DeepXDE's callbacks need."""

    def __init__(self, one: Case, seed: int, trajectory: Trajectory):
        os.environ["DDE_BACKEND"] = "pytorch"
        import torch

        self.torch, self.dde = torch, import_module("deepxde")
        torch.set_num_threads(1)
        self.dde.config.set_default_float("float64")
        self.dde.config.set_random_seed(seed)
        self.one, self.trajectory = one, trajectory
        self.half = one.plate.grain_map.shape[0] / 2.0
        self.size = fluctuation(one.plate)
        self.grain_map = torch.tensor(one.plate.grain_map)
        self.volume = torch.tensor(np.bincount(one.plate.grain_map.ravel()) / one.plate.grain_map.size)
        self.modes = torch.tensor(_modes(one))
        self.logs: Any = self.dde.Variable(np.zeros((len(self.volume), 3)), dtype=torch.float64)
        self.model = self._model(seed)

    def run(self, cap_s: float) -> None:
        """Train by Adam for half of the time and by L-BFGS for the rest."""
        weights, training = [1.0] * 5 + [DATA_WEIGHT], Training(0.5, RATE, (20, 25))
        train(self.dde, self.model, [self.logs], weights, training, self._estimates, cap_s, self.trajectory)

    def moduli(self) -> Any:
        """Return the eigenvalues of each grain over the mean stiffness."""
        moduli = self.torch.exp(self.logs)
        return moduli / (self.volume @ moduli.mean(dim=1))

    def _model(self, seed: int) -> Any:
        generator = np.random.default_rng([seed, round(1000 * PEER_NOISE)])
        fields = measured(self.one.plate, PEER_NOISE, LOAD_ERROR, generator)
        points = np.stack(np.meshgrid(*[np.linspace(-1, 1, n + 1) for n in self.grain_map.shape], indexing="ij"), -1)
        left, self.affine = [], []
        for load in fields.loads:
            affine, gradient = affine_part(load.displacement)
            left += list((load.displacement - affine) / self.size)
            self.affine.append(gradient / STRAIN)
        values = np.stack([part.ravel() for part in left], axis=1)
        observed = self.dde.icbc.PointSetBC(points.reshape(-1, 2), values, component=list(range(6)))
        data = self.dde.data.PDE(
            self.dde.geometry.Rectangle([-1, -1], [1, 1]), self._residual, [observed], num_domain=COLLOCATION
        )
        return self.dde.Model(data, self.dde.nn.FNN([2, *HIDDEN, 15], "tanh", "Glorot normal"))

    def _residual(self, points: Any, outputs: Any) -> list[Any]:
        """Return stress less stiffness times strain and the force out of balance, over the three loads."""
        torch = self.torch
        cells = torch.clamp(((points.detach() + 1.0) * self.half).long(), max=int(2 * self.half) - 1)
        grains = self.grain_map[cells[:, 0], cells[:, 1]]
        stiffness = torch.einsum("gk,gkij->gij", self.moduli(), self.modes)[grains]
        law, balance = [], []
        for load in range(3):
            gradient = self._gradient(points, outputs, load)
            strain = torch.stack([gradient[0][0], gradient[1][1], (gradient[0][1] + gradient[1][0]) / 2**0.5], dim=1)
            stress = outputs[:, 6 + 3 * load : 9 + 3 * load]
            law.append(stress - torch.einsum("nij,nj->ni", stiffness, strain))
            slopes = [[self._slope(points, outputs, 6 + 3 * load + row, axis) for axis in (0, 1)] for row in range(3)]
            balance.append(slopes[0][0] + slopes[2][1] / 2**0.5)
            balance.append(slopes[2][0] / 2**0.5 + slopes[1][1])
        every = torch.cat(law, dim=1)
        return [
            every[:, 0::3],
            every[:, 1::3],
            every[:, 2::3],
            torch.stack(balance[0::2], 1),
            torch.stack(balance[1::2], 1),
        ]

    def _gradient(self, points: Any, outputs: Any, load: int) -> list[list[Any]]:
        """Return the displacement gradient of a load over the mean strain, of order one."""
        factor, affine = self.size / self.half / STRAIN, self.affine[load]
        slopes = [[self._slope(points, outputs, 2 * load + row, axis) for axis in (0, 1)] for row in (0, 1)]
        return [[affine[row, axis] + factor * slopes[row][axis] for axis in (0, 1)] for row in (0, 1)]

    def _slope(self, points: Any, outputs: Any, output: int, axis: int) -> Any:
        return self.dde.grad.jacobian(outputs, points, i=output, j=axis)[:, 0]

    def _estimates(self) -> list[float]:
        moduli = self.moduli().detach().cpu().numpy()
        return constants(self.one.model, 0.5 * np.log(moduli).ravel()).tolist()


def _modes(one: Case) -> np.ndarray:
    """Return the matrices that the three eigenvalues of each grain multiply, in axes of the plate."""
    turns = np.asarray(rotation_matrix(jnp.asarray(one.model.rotations)))
    bases = [block[0, :, 0] for block in one.model.crystal.blocks]
    turned = np.einsum("gij,kj->gki", turns, np.array(bases))
    return np.einsum("gki,gkj->gkij", turned, turned)


if __name__ == "__main__":
    seed, cap_s = int(sys.argv[1]), float(sys.argv[2])
    print(json.dumps(deepxde_errors(seed, cap_s, "--wall" in sys.argv, "--smoke" in sys.argv)))

"""DeepXDE with its torch back end on an inverse problem: Adam, then L-BFGS, as its documentation has it.

A process of its own each, since DeepXDE keeps its number format and seeds for the whole process.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from benchmarks.inverse.trajectory import Trajectory
from benchmarks.record import UnavailableError


def need_deepxde() -> None:
    """Refuse to begin what DeepXDE is needed for.

    Raises:
        UnavailableError: it is not installed.
    """
    if find_spec("deepxde") is None:
        raise UnavailableError("DeepXDE is not installed: pip install '.[peers]'")


@dataclass(frozen=True)
class PeerProblem:
    """An inverse problem in the words that DeepXDE understands.

    Attributes:
        low: corner of the box, time first.
        high: opposite corner.
        residual: of points and outputs (torch tensors) and the list of unknowns, one or several columns.
        starts: values of the unknowns to begin with.
        estimates: of interest, from the unknowns.
        points: measured at, shape (n, axes).
        values: measured, shape (n, 1), output 0.
        collocation: points of the residual.
        anchored: whether the residual is asked for at the measured points, too, as Raissi does.
        features: of points for the first layer, on torch tensors; none by default.
        inputs: columns of the features.
        outputs: of the network.
        hidden: widths.
        data_weight: of the measured points' mean square beside the residual's.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    residual: Callable[[Any, Any, list], Any]
    starts: tuple[float, ...]
    estimates: Callable[[list[float]], list[float]]
    points: np.ndarray
    values: np.ndarray
    collocation: int
    anchored: bool = True
    features: Callable[[Any], Any] | None = None
    inputs: int = 2
    outputs: int = 1
    hidden: tuple[int, ...] = (20, 20, 20)
    data_weight: float = 1.0


def deepxde_fit(problem: PeerProblem, cap_s: float, adam_share: float, seed: int, trajectory: Trajectory) -> Trajectory:
    """Return the estimates in the course of Adam for a share of the time and L-BFGS for the rest.

    Args:
        problem: what to fit.
        cap_s: seconds of the trajectory's clock after which it ends.
        adam_share: of the time that goes to Adam, at DeepXDE's usual rate of 1e-3.
        seed: of weights and points.
        trajectory: to note in; its clock has started before DeepXDE was imported.
    """
    os.environ["DDE_BACKEND"] = "pytorch"
    import torch

    dde: Any = import_module("deepxde")

    torch.set_num_threads(1)
    # L-BFGS ends early in single precision.
    dde.config.set_default_float("float64")
    dde.config.set_random_seed(seed)
    unknowns = [dde.Variable(value) for value in problem.starts]
    model = _model(dde, problem, unknowns)
    weights = [1.0] * problem.outputs + [problem.data_weight]

    def estimates() -> list[float]:
        return problem.estimates([float(unknown.detach()) for unknown in unknowns])

    train(dde, model, unknowns, weights, Training(adam_share), estimates, cap_s, trajectory)
    return trajectory


@dataclass(frozen=True)
class Training:
    """Adam for a share of the time, then L-BFGS for the rest.

    Attributes:
        adam_share: of the time.
        rate: of Adam; by default DeepXDE's usual one.
        steps: of L-BFGS in a round, and evaluations: DeepXDE asks its callbacks between rounds only.
    """

    adam_share: float
    rate: float = 1e-3
    steps: tuple[int, int] = (50, 65)


def train(
    dde: Any,
    model: Any,
    unknowns: list,
    weights: list[float],
    training: Training,
    estimates: Callable[[], Sequence[float]],
    cap_s: float,
    trajectory: Trajectory,
) -> None:
    """Train a model of DeepXDE until the time is up; what it has found is noted each second."""
    watch = _watch(dde, estimates, trajectory)
    free = {"loss_weights": weights, "external_trainable_variables": unknowns}
    model.compile("adam", lr=training.rate, **free)
    until_s = cap_s * training.adam_share
    model.train(iterations=10**8, display_every=10**7, callbacks=[watch(until_s)], verbose=0)
    dde.optimizers.set_LBFGS_options(maxiter=10**8, ftol=0, gtol=0)
    iterations, evaluations = training.steps
    dde.optimizers.config.LBFGS_options |= {"iter_per_step": iterations, "fun_per_step": evaluations}
    model.compile("L-BFGS", **free)
    model.train(display_every=10**7, callbacks=[watch(cap_s)], verbose=0)


def _model(dde: Any, problem: PeerProblem, unknowns: list) -> Any:
    observed = dde.icbc.PointSetBC(problem.points, problem.values, component=0)
    data = dde.data.PDE(
        dde.geometry.Hypercube(problem.low, problem.high),
        lambda points, outputs: problem.residual(points, outputs, unknowns),
        [observed],
        num_domain=problem.collocation,
        anchors=problem.points if problem.anchored else None,
    )
    inputs = problem.inputs if problem.features else len(problem.low)
    network = dde.nn.FNN([inputs, *problem.hidden, problem.outputs], "tanh", "Glorot normal")
    if problem.features:
        network.apply_feature_transform(problem.features)
    return dde.Model(data, network)


def _watch(dde: Any, estimates: Callable[[], Sequence[float]], trajectory: Trajectory) -> Callable[[float], Any]:
    class Watch(dde.callbacks.Callback):
        """Notes the unknowns each second and ends the training in time."""

        def __init__(self, until_s: float):
            super().__init__()
            self.until_s, self.next_s = until_s, 0.0

        def on_epoch_end(self) -> None:
            now = trajectory.elapsed()
            if now >= self.next_s:
                self.next_s = now + 1.0
                trajectory.add(estimates())
            if now >= self.until_s:
                self.model.stop_training = True

    return Watch

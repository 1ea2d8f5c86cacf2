"""What BoTorch's multi-fidelity models predict of every candidate's target answer."""

from collections.abc import Callable

import numpy as np
import torch
from botorch.models.gpytorch import GPyTorchModel
from botorch.posteriors import GPyTorchPosterior

from benchmarks.decisions import peers
from benchmarks.decisions.answers import aligned, merit, rows, unit_cube
from benchmarks.decisions.curves import Known
from benchmarks.decisions.tasks import Task

Prediction = tuple[np.ndarray, np.ndarray]
CHUNK = 256


def multi_fidelity(task: Task, known: Known) -> Prediction:
    """Predict with SingleTaskMultiFidelityGP, the cheap answers in units of the target."""
    values, points = aligned(known, task), unit_cube(task.features)
    data = rows(values, merit(values, task), task, seed=0)
    model = peers.fit_multi_fidelity(data, points, task)
    mean, sd = _answers(model, points, float(peers.fidelity_numbers(task)[task.target]))
    return data.mean + data.spread * mean, data.spread * sd


def multi_task(task: Task, known: Known) -> Prediction:
    """Predict with MultiTaskGP, the cheap answers in units of the target, each source on its own scale."""
    values, points = aligned(known, task), unit_cube(task.features)
    data = rows(values, merit(values, task), task, seed=0, by_level=True)
    mean, sd = _answers(peers.fit_multi_task(data, points, task), points, float(task.target))
    return data.mean + data.spread * mean, data.spread * sd


PEERS: dict[str, Callable[[Task, Known], Prediction]] = {"multi_fidelity": multi_fidelity, "multi_task": multi_task}


def _answers(model: GPyTorchModel, points: np.ndarray, last: float) -> Prediction:
    """Return mean and deviation of an answer at the fidelity with this number, observation noise included."""
    mean, variance = [], []
    for chunk in peers.with_column(points, last).split(CHUNK):
        with torch.no_grad():
            posterior = model.posterior(chunk, observation_noise=True)
            assert isinstance(posterior, GPyTorchPosterior)
            mean.append(posterior.mean[:, 0])
            variance.append(posterior.variance[:, 0])
    return torch.cat(mean).cpu().numpy(), torch.cat(variance).clamp_min(1e-12).sqrt().cpu().numpy()

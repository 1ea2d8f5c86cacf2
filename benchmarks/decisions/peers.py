"""BoTorch as a careful practitioner sets it up for a pool with priced fidelities.

Runs without pandas and pymatgen, on a GPU if there is one. On a CPU give every process one thread
(OMP_NUM_THREADS=1): the matrices are small, and threads that share cores slow a fit down twenty times.

What the arms have in common:

- Cheap answers enter in units of the target, by a least-squares line through the pairs known so far: the levels of
  SingleTaskMultiFidelityGP share mean and scale, and MultiTaskGP allows positive correlations only.
- Outcomes are standardised and features scaled to the unit cube over the pool, as BoTorch's transforms would do.
- Hyper-parameters (default priors, fit_gpytorch_mll) are refitted at every step on the FIT_ROWS most important
  answers; the posterior uses MODEL_ROWS of them (answers.rows has the order).
- Cheap queries are bought in blocks, as long as each scores better than anything at another fidelity.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from botorch.acquisition.analytic import _log_ei_helper
from botorch.acquisition.cost_aware import InverseCostWeightedUtility
from botorch.acquisition.max_value_entropy_search import qMultiFidelityMaxValueEntropy
from botorch.acquisition.utils import project_to_target_fidelity
from botorch.fit import fit_gpytorch_mll
from botorch.models import MultiTaskGP, SingleTaskGP, SingleTaskMultiFidelityGP
from botorch.models.deterministic import GenericDeterministicModel
from botorch.models.gpytorch import GPyTorchModel
from botorch.posteriors import GPyTorchPosterior
from botorch.settings import validate_input_scaling
from botorch.utils.sampling import manual_seed
from gpytorch.mlls import ExactMarginalLogLikelihood
from torch import Tensor

from benchmarks.decisions.answers import Rows, aligned, merit, rows, unit_cube
from benchmarks.decisions.curves import Known, Query
from benchmarks.decisions.tasks import Task

FIT_ROWS, MODEL_ROWS = 250, 800
# Queries of a block, at most; a block never costs more than one query at the target.
BLOCK = 100
# Candidates a fidelity that are scored again once queries are pending. What is pending hardly ever adds to the value
# of another query, so what was far down stays there.
SHORTLIST = 25
# Candidates from which maxima are sampled, those with the highest upper bounds.
MAXIMA = 1000
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
# Points scored at once; on a CPU few, to stay in its cache.
CHUNK = 2048 if DEVICE.type == "cuda" else 64
Model = TypeVar("Model", bound=GPyTorchModel)


def botorch_mf_mes(known: Known, task: Task, batch: int, seed: int) -> list[Query]:
    """Ask by multi-fidelity max-value entropy per EUR, greedily with the batch so far pending.

    For a window the outcome is minus the distance to its middle. It has one maximum, and unlike the distance to the
    window no plateau, which a stationary process cannot follow; the value itself has no maximum to be informed about.
    """
    with manual_seed(_stream(known, seed)):
        outcomes = merit(aligned(known, task), task)
        points = unit_cube(task.features)
        model = fit_multi_fidelity(rows(outcomes, outcomes, task, seed), points, task)
        acquisition = entropy_per_eur(model, points[~known.observed[:, task.target]], task)
        return _greedy(acquisition, points, known, task, batch)


def botorch_multitask_ei(known: Known, task: Task, batch: int, seed: int) -> list[Query]:
    """Ask by augmented expected improvement (Huang et al. 2006, 10.1007/s00158-005-0587-0).

    The value of a measurement, times the posterior correlation of the fidelity with the target at the candidate,
    times the price of the target over that of the fidelity. The value is the probability to lie in the window, or the
    expected improvement on the k-th best measurement; the values of a batch add up in expectation, so its best
    members make the best batch.
    """
    with manual_seed(_stream(known, seed)):
        values, points = aligned(known, task), unit_cube(task.features)
        data = rows(_modelled(values, task), merit(values, task), task, seed, by_level=True)
        mean, spread, correlation = joint_moments(fit_multi_task(data, points, task), points, task)
        discount = np.log(task.price_eur[task.target] / np.array(task.price_eur))
        value = _log_value(mean, spread, data, known, task)
        return _fill(value[:, None] + np.log(correlation) + discount, known, task, batch)


def botorch_single_ei(known: Known, task: Task, batch: int, seed: int) -> list[Query]:
    """Ask at the target only, by the same value from SingleTaskGP."""
    with manual_seed(_stream(known, seed)):
        return _at_target(known, task, batch, seed, unit_cube(task.features))


def botorch_screened_ei(known: Known, task: Task, batch: int, seed: int) -> list[Query]:
    """Screen everything at the cheapest fidelity, then ask at the target with the cheap value as one more feature."""
    unscreened = np.flatnonzero(~known.observed[:, 0])
    if unscreened.size:
        return [(int(candidate), 0) for candidate in unscreened]
    cheap = known.values[:, 0]
    features = np.column_stack([task.features, np.nan_to_num(cheap, nan=float(np.nanmean(cheap)))])
    with manual_seed(_stream(known, seed)):
        return _at_target(known, task, batch, seed, unit_cube(features))


def fidelity_numbers(task: Task) -> np.ndarray:
    """Return the numbers that stand for the fidelities: evenly from 0.5 to 1, the target.

    As in BoTorch's tutorial on discrete fidelities. With the cheapest at 0 the priors of the downsampling kernel keep
    its correlation with the target below about 0.7, and the pools here were predicted worse.
    """
    return np.linspace(0.5, 1.0, len(task.price_eur))


def fit_multi_fidelity(data: Rows, points: np.ndarray, task: Task) -> SingleTaskMultiFidelityGP:
    """Return SingleTaskMultiFidelityGP with the fidelity's number in the last column."""
    last, numbers = points.shape[1], fidelity_numbers(task)

    def build(kept: Rows) -> SingleTaskMultiFidelityGP:
        inputs = _tensor(np.column_stack([points[kept.candidate], numbers[kept.fidelity]]))
        outcome, linear = _tensor(kept.outcome[:, None]), False
        return SingleTaskMultiFidelityGP(
            inputs, outcome, data_fidelities=[last], linear_truncated=linear, outcome_transform=None
        )

    return _fit(build, data)


def fit_multi_task(data: Rows, points: np.ndarray, task: Task) -> MultiTaskGP:
    """Return MultiTaskGP with the fidelity's index in the last column."""
    last, levels = points.shape[1], list(range(len(task.price_eur)))

    def build(kept: Rows) -> MultiTaskGP:
        inputs = _tensor(np.column_stack([points[kept.candidate], kept.fidelity]))
        outcome = _tensor(kept.outcome[:, None])
        return MultiTaskGP(inputs, outcome, task_feature=last, all_tasks=levels, outcome_transform=None)

    return _fit(build, data)


def entropy_per_eur(model: GPyTorchModel, remaining: np.ndarray, task: Task) -> qMultiFidelityMaxValueEntropy:
    """Return the acquisition: information per EUR about the best target value among the `remaining` points.

    Stock BoTorch also draws the maxima from the points that are measured already. For the k-th hit the best that is
    left is what matters, and once the optimum is measured there would be nothing to learn.
    """
    numbers, prices = _tensor(fidelity_numbers(task)), _tensor(np.array(task.price_eur))
    cost = GenericDeterministicModel(lambda x: prices[(x[..., -1:] - numbers).abs().argmin(-1)].unsqueeze(-1))
    last, goal = remaining.shape[1], float(numbers[task.target])
    mean, spread = _moments(model, with_column(remaining, goal))
    best = np.argsort(-(mean + 2.0 * spread), kind="stable")[:MAXIMA]
    acquisition = qMultiFidelityMaxValueEntropy(
        model,
        with_column(remaining[best], goal),
        cost_aware_utility=InverseCostWeightedUtility(cost_model=cost),
        project=lambda x: project_to_target_fidelity(x, d=last + 1, target_fidelities={last: goal}),
    )
    acquisition.candidate_set = with_column(remaining[best], goal)
    acquisition._sample_max_values(acquisition.num_mv_samples)
    return acquisition


def joint_moments(
    model: GPyTorchModel, points: np.ndarray, task: Task, labels: Sequence[float] | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean and deviation at the target, and the posterior correlation of each fidelity with the target.

    Args:
        model: of all fidelities.
        points: candidates.
        task: whose fidelities.
        labels: what stands for each fidelity in the last column; its index unless told.
    """
    count, mean, spread, correlation = len(task.price_eur), [], [], []
    labels = range(count) if labels is None else labels
    for chunk in _chunks(points):
        levels = torch.cat([with_column(chunk, float(label)) for label in labels])
        # One joint posterior per chunk: as a batch of small ones BoTorch takes ten times as long.
        with torch.no_grad():
            posterior = model.posterior(levels)
            assert isinstance(posterior, GPyTorchPosterior)
            blocks = posterior.distribution.covariance_matrix.view(count, len(chunk), count, len(chunk))
        deviation = posterior.variance.view(count, -1).clamp_min(1e-12).sqrt()
        with_target = blocks[:, :, task.target].diagonal(dim1=-2, dim2=-1)
        mean.append(posterior.mean.view(count, -1)[task.target])
        spread.append(deviation[task.target])
        correlation.append((with_target / (deviation * deviation[task.target])).T)
    return _array(mean), _array(spread), np.clip(_array(correlation), 1e-6, 1.0)


def noise_variance(model: GPyTorchModel) -> float:
    """Return the variance of an answer that the model has found, the same at all fidelities."""
    likelihood: Any = model.likelihood
    return float(likelihood.noise.detach())


def with_column(points: np.ndarray, value: float) -> Tensor:
    """Return the points with a last column of one value."""
    return _tensor(np.column_stack([points, np.full(len(points), value)]))


def score(acquisition: qMultiFidelityMaxValueEntropy, points: np.ndarray, number: float) -> np.ndarray:
    """Return the acquisition of each point at one fidelity number."""
    with torch.no_grad():
        return _array([acquisition(with_column(chunk, number)[:, None]) for chunk in _chunks(points)])


def _greedy(
    acquisition: qMultiFidelityMaxValueEntropy, points: np.ndarray, known: Known, task: Task, batch: int
) -> list[Query]:
    """Fill the slots one by one; measurements of the batch are pending for its later slots."""
    numbers, chosen, pending = fidelity_numbers(task), [], []
    scores = np.full(known.observed.shape, -np.inf)
    for fidelity, number in enumerate(numbers):
        free = ~known.observed[:, fidelity]
        scores[free, fidelity] = score(acquisition, points[free], float(number)) if free.any() else 0.0
    while len(chosen) < batch and (slot := _slot(scores, task)):
        chosen.append(slot)
        scores[[candidate for candidate, _ in slot]] = -np.inf
        # Blocks of cheap queries do not wait for each other: what they could save is small money.
        if slot[0][1] == task.target and len(chosen) < batch:
            pending.append(slot[0][0])
            acquisition.set_X_pending(with_column(points[pending], float(numbers[task.target])))
            scores = _rescored(acquisition, scores, points, numbers)
    return [query for slot in chosen for query in slot]


def _rescored(
    acquisition: qMultiFidelityMaxValueEntropy, scores: np.ndarray, points: np.ndarray, numbers: np.ndarray
) -> np.ndarray:
    fresh = np.full(scores.shape, -np.inf)
    for fidelity, number in enumerate(numbers):
        best = np.argsort(-scores[:, fidelity], kind="stable")[:SHORTLIST]
        best = best[np.isfinite(scores[best, fidelity])]
        if best.size:
            fresh[best, fidelity] = score(acquisition, points[best], float(number))
    return fresh


def _fill(scores: np.ndarray, known: Known, task: Task, batch: int) -> list[Query]:
    """Fill the slots best first, with one query per candidate and step."""
    chosen, scores = [], np.where(known.observed, -np.inf, scores)
    for _ in range(batch):
        slot = _slot(scores, task)
        scores[[candidate for candidate, _ in slot]] = -np.inf
        chosen += slot
    return chosen


def _slot(scores: np.ndarray, task: Task) -> list[Query]:
    """Return the best query; if it is a cheap one, a block of those that beat every query at another fidelity."""
    candidate, fidelity = np.unravel_index(int(np.argmax(scores)), scores.shape)
    if not np.isfinite(scores[candidate, fidelity]):
        return []
    size = min(BLOCK, int(task.price_eur[task.target] / task.price_eur[fidelity]))
    order = np.argsort(-scores[:, fidelity], kind="stable")[:size]
    rival = np.delete(scores, fidelity, axis=1).max(initial=-np.inf)
    beating = order[np.isfinite(scores[order, fidelity]) & (scores[order, fidelity] >= rival)]
    return [(int(other), int(fidelity)) for other in beating]


def _at_target(known: Known, task: Task, batch: int, seed: int, points: np.ndarray) -> list[Query]:
    values = np.where(np.arange(len(task.price_eur)) == task.target, known.values, np.nan)
    data = rows(_modelled(values, task), merit(values, task), task, seed)

    def build(kept: Rows) -> SingleTaskGP:
        inputs, outcome = _tensor(points[kept.candidate]), _tensor(kept.outcome[:, None])
        return SingleTaskGP(inputs, outcome, outcome_transform=None)

    scores = np.full(known.observed.shape, -np.inf)
    mean, spread = _moments(_fit(build, data), _tensor(points))
    scores[:, task.target] = _log_value(mean, spread, data, known, task)
    return _fill(scores, known, task, batch)


def _modelled(values: np.ndarray, task: Task) -> np.ndarray:
    """Return what the improvement arms model: the value itself for a window, else the merit."""
    return values if task.window is not None else merit(values, task)


def _log_value(mean: np.ndarray, spread: np.ndarray, data: Rows, known: Known, task: Task) -> np.ndarray:
    """Return the logarithm of the value of a measurement, from the posterior at the target."""
    if task.window is not None:
        bounds = [(bound - data.mean) / data.spread for bound in task.window]
        below, above = (torch.special.ndtr(torch.as_tensor((bound - mean) / spread)) for bound in bounds)
        return torch.log((above - below).clamp_min(1e-300)).numpy()
    measured = merit(known.values[known.answered[:, task.target], task.target], task)
    best = (np.sort(measured)[-min(task.goal, measured.size)] - data.mean) / data.spread
    return np.log(spread) + _log_ei_helper(torch.as_tensor((mean - best) / spread)).numpy()


def _fit(build: Callable[[Rows], Model], data: Rows) -> Model:
    # A part of standardised outcomes is not quite standardised; BoTorch warns of that.
    with validate_input_scaling(False):
        fitted = build(data.first(FIT_ROWS)).to(DEVICE)
        fit_gpytorch_mll(ExactMarginalLogLikelihood(fitted.likelihood, fitted))
        if len(data.outcome) <= FIT_ROWS:
            return fitted
        model = build(data.first(MODEL_ROWS)).to(DEVICE)
    model.load_state_dict(fitted.state_dict())
    return model.eval()


def _moments(model: GPyTorchModel, inputs: Tensor) -> tuple[np.ndarray, np.ndarray]:
    mean, spread = [], []
    for chunk in inputs.split(4 * CHUNK):
        with torch.no_grad():
            posterior = model.posterior(chunk)
            mean.append(posterior.mean[:, 0])
            spread.append(posterior.variance[:, 0].clamp_min(1e-12).sqrt())
    return _array(mean), _array(spread)


def _stream(known: Known, seed: int) -> int:
    return int(np.random.SeedSequence((seed, int(known.observed.sum()))).generate_state(1)[0])


def _chunks(points: np.ndarray) -> Iterator[np.ndarray]:
    return (points[start : start + CHUNK] for start in range(0, len(points), CHUNK))


def _tensor(array: np.ndarray) -> Tensor:
    return torch.as_tensor(np.ascontiguousarray(array), dtype=torch.double, device=DEVICE)


def _array(parts: list[Tensor]) -> np.ndarray:
    return torch.cat(parts).cpu().numpy()

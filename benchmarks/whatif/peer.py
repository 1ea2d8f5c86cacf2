"""The timed campaign as a BoTorch user writes it: a loop in one Python process, one decision after the other."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.record import UnavailableError
from benchmarks.whatif.tasks import FEATURES, PRICE_EUR, TARGET

if TYPE_CHECKING:
    from botorch.acquisition.max_value_entropy_search import qMultiFidelityMaxValueEntropy
    from botorch.models import SingleTaskMultiFidelityGP
    from torch import Tensor

# Variance of an answer. The sources are exact, and BoTorch takes no less.
NOISE = 1e-4
# What stands for each fidelity in the last column; see `benchmarks.decisions.peers.fidelity_numbers`.
NUMBERS = np.linspace(0.5, 1.0, len(PRICE_EUR))
MAXIMA = 10


@dataclass(frozen=True)
class PeerCampaign:
    """What a campaign of BoTorch took.

    Attributes:
        seconds: wall time of its decisions; model and truth were there before.
        asked: queries at each fidelity.
        decisions: taken, one query each.
    """

    seconds: float
    asked: tuple[int, int, int]
    decisions: int


def botorch_campaign(candidates: int, decisions: int, seed: int) -> PeerCampaign:
    """Run the campaign by max-value entropy per EUR, with hyper-parameters frozen where BoTorch starts a fit.

    Args:
        candidates: in the pool.
        decisions: at most one for every candidate and fidelity.
        seed: of the pool, the truth and the sampled maxima.
    """
    if find_spec("botorch") is None:
        raise UnavailableError("BoTorch is not installed: pip install .[peers]")
    import torch
    from botorch.utils.sampling import manual_seed

    with manual_seed(seed), torch.no_grad(), _one_thread():
        points = _points(candidates, seed)
        model = _model(points)
        truth = _draw(model, points)
        # The first decisions of a process import sympy and fill caches for about a second: not the campaign's time.
        _run(_model(points), points, truth, min(2, decisions))
        started = time.perf_counter()
        queries = _run(model, points, truth, decisions)
        seconds = time.perf_counter() - started
    fidelities = [fidelity for _, fidelity in queries]
    return PeerCampaign(seconds, (fidelities.count(0), fidelities.count(1), fidelities.count(2)), len(queries))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Give torch one thread: two on two shared cores took thirty times as long."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _run(
    model: "SingleTaskMultiFidelityGP", points: "Tensor", truth: "Tensor", decisions: int
) -> list[tuple[int, int]]:
    """Return the queries of the campaign, candidate and fidelity each."""
    queries: list[tuple[int, int]] = []
    for _ in range(decisions):
        queries.append(_choose(_entropy_per_eur(model, points), points, queries))
        candidate, fidelity = zip(*queries, strict=True)
        # Faster than condition_on_observations, which copies the model: 0.1 ms against 7 ms a decision, for the
        # same choices. The factor of so few answers is as good as free.
        model.set_train_data(points[candidate, fidelity], truth[candidate, fidelity], strict=False)
    return queries


def _points(candidates: int, seed: int) -> "Tensor":
    """Return every candidate at every fidelity, features in the unit cube: (candidates, fidelities, features + 1)."""
    import torch

    features = np.random.default_rng(seed).standard_normal((candidates, FEATURES))
    scaled = (features - features.min(axis=0)) / np.ptp(features, axis=0)
    levels = [np.column_stack([scaled, np.full(candidates, number)]) for number in NUMBERS]
    return torch.as_tensor(np.stack(levels, axis=1))


def _model(points: "Tensor") -> "SingleTaskMultiFidelityGP":
    """Return the model without answers; MultiTaskGP takes a quarter as long again for a decision."""
    from botorch.models import SingleTaskMultiFidelityGP
    from botorch.settings import validate_input_scaling

    none, last = points[:0, 0], points.shape[2] - 1
    with validate_input_scaling(False):
        model = SingleTaskMultiFidelityGP(
            none, none[:, :1], data_fidelities=[last], linear_truncated=False, outcome_transform=None
        )
    likelihood: Any = model.likelihood
    likelihood.noise = NOISE
    return model.eval()


def _draw(model: "SingleTaskMultiFidelityGP", points: "Tensor") -> "Tensor":
    """Return the answers of one world that the model holds possible: (candidates, fidelities)."""
    import torch

    prior: Any = model.likelihood(model.forward(points.flatten(0, 1)))
    factor = torch.linalg.cholesky(prior.covariance_matrix)
    return (prior.mean + factor @ torch.randn_like(prior.mean)).view(points.shape[:2])


def _entropy_per_eur(model: "SingleTaskMultiFidelityGP", points: "Tensor") -> "qMultiFidelityMaxValueEntropy":
    """Return the acquisition, with new maxima sampled."""
    import torch
    from botorch.acquisition.cost_aware import InverseCostWeightedUtility
    from botorch.acquisition.max_value_entropy_search import qMultiFidelityMaxValueEntropy
    from botorch.acquisition.utils import project_to_target_fidelity
    from botorch.models.deterministic import GenericDeterministicModel

    numbers, prices = torch.as_tensor(NUMBERS), torch.tensor(PRICE_EUR, dtype=points.dtype)
    cost = GenericDeterministicModel(lambda x: prices[(x[..., -1:] - numbers).abs().argmin(-1)].unsqueeze(-1))
    goal = {FEATURES: float(NUMBERS[TARGET])}
    return qMultiFidelityMaxValueEntropy(
        model,
        points[:, TARGET],
        num_mv_samples=MAXIMA,
        cost_aware_utility=InverseCostWeightedUtility(cost_model=cost),
        project=lambda x: project_to_target_fidelity(x, d=FEATURES + 1, target_fidelities=goal),
    )


def _choose(
    acquisition: "qMultiFidelityMaxValueEntropy", points: "Tensor", queries: list[tuple[int, int]]
) -> tuple[int, int]:
    """Return the best of what may be asked: of each candidate the first fidelity that has not answered."""
    answered = np.bincount([candidate for candidate, _ in queries], minlength=points.shape[0])
    possible = np.flatnonzero(answered < points.shape[1])
    # All at once: in pieces of 64 BoTorch takes half as long again.
    scores = acquisition(points[possible, answered[possible]].unsqueeze(1))
    candidate = int(possible[int(scores.argmax())])
    return candidate, int(answered[candidate])

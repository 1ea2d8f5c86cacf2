"""How honest the predictions are: held-out target answers under our surrogates and BoTorch's models.

A split takes a pool with all its cheap answers and some target answers at random, and predicts the others. What is
predicted is the answer itself: BoTorch's observation noise belongs to its prediction, as our individual part to ours.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import norm

from benchmarks.decisions.curves import Known
from benchmarks.decisions.modelling import dataset_of, known_of, typical
from benchmarks.decisions.tasks import Task, alloys, gap_window, standardise
from mfal.surrogate.base import AbstractSurrogate
from mfal.surrogate.choose import choose_surrogate, joint_surrogate
from mfal.surrogate.recursive import recursive_surrogate
from mfal.types import Array

# Candidates of a pool, at most: as many as BoTorch's models and the joint one take without leaving answers out.
POOL = 1000
# Target answers, one number after the other over the splits.
TRAINED = {"gap": (40, 80, 160), "alloys": (40, 80, 120)}
SPLITS, SMOKE_SPLITS = 12, 1
LEVELS = (0.5, 0.8, 0.95)

Prediction = tuple[np.ndarray, np.ndarray]
Build = Callable[[Array, Array, Array], AbstractSurrogate]
_learn = eqx.filter_jit(lambda s, d: s.fit(d, jnp.ones(d.status.shape[1], bool)).condition(d))


@dataclass(frozen=True)
class Honesty:
    """Mean negative log density of held-out answers in units of the pool's spread, and coverage of the LEVELS."""

    nlpd: float
    coverage: tuple[float, ...]


def measure_calibration(smoke: bool) -> dict[str, Any]:
    """Return density and coverage of the model that we would take, and of the better of BoTorch's two."""
    from benchmarks.decisions.calibration_peers import PEERS

    models, found = {"ours": _chosen, **OURS, **PEERS}, {}
    for name, task in {"gap": some_candidates(gap_window(), POOL), "alloys": alloys()}.items():
        for split in range(SMOKE_SPLITS if smoke else SPLITS):
            known = hold_out(task, TRAINED[name][split % len(TRAINED[name])], split)
            for model, predict in models.items():
                found.setdefault((name, model), []).append(judge(predict(task, known), task, known))
    return _figures({key: _mean(parts) for key, parts in found.items()}, list(PEERS))


def some_candidates(task: Task, count: int) -> Task:
    """Return the task with `count` of its candidates, the same ones every time."""
    kept = np.sort(np.random.default_rng(0).permutation(len(task.values))[:count])
    return replace(task, features=standardise(task.features[kept]), values=task.values[kept], hits=task.hits[kept])


def hold_out(task: Task, trained: int, seed: int) -> Known:
    """Return all cheap answers and those of `trained` random candidates at the target."""
    observed = np.ones(task.values.shape, dtype=bool)
    observed[np.random.default_rng(seed).permutation(len(observed))[trained:], task.target] = False
    return known_of(task, observed)


def judge(prediction: Prediction, task: Task, known: Known) -> Honesty:
    """Compare a prediction (mean and deviation of every candidate) with the answers held out."""
    held = ~known.observed[:, task.target]
    mean, sd = (part[held] for part in prediction)
    answer, spread = task.values[held, task.target], task.values[:, task.target].std()
    away = (answer - mean) / sd
    coverage = tuple(float(np.mean(np.abs(away) <= norm.ppf(0.5 + 0.5 * level))) for level in LEVELS)
    return Honesty(float(np.mean(0.5 * away**2 + np.log(sd / spread) + 0.5 * np.log(2.0 * np.pi))), coverage)


def predicted(build: Build, task: Task, known: Known) -> Prediction:
    """Return what a surrogate of ours believes of every candidate's target value."""
    surrogate = build(jnp.asarray(task.features), *typical(known))
    # Room for the most that any split trains on: the shapes stay.
    surrogate = surrogate.with_room([len(task.values), max(max(trained) for trained in TRAINED.values())])
    belief = jax.block_until_ready(_learn(surrogate, dataset_of(known)))
    variance = np.asarray(belief.own[:, task.target, task.target])
    return np.asarray(belief.mean[:, task.target]), np.sqrt(np.maximum(variance, 1e-12))


def _chosen(task: Task, known: Known) -> Prediction:
    """Predict with the surrogate that a campaign takes."""
    exact = np.zeros(len(task.price_eur))
    return predicted(lambda x, value, spread: choose_surrogate(x, value, spread, exact, False), task, known)


def _recursive(nonlinear: bool, task: Task, known: Known) -> Prediction:
    return predicted(lambda x, value, spread: recursive_surrogate(x, value, spread, nonlinear), task, known)


OURS: dict[str, Callable[[Task, Known], Prediction]] = {
    "recursive": partial(_recursive, False),
    "nonlinear": partial(_recursive, True),
    "joint": partial(predicted, joint_surrogate),
}


def _mean(parts: list[Honesty]) -> Honesty:
    coverage = tuple(float(level) for level in np.mean([part.coverage for part in parts], axis=0))
    return Honesty(float(np.mean([part.nlpd for part in parts])), coverage)


def _figures(found: dict[tuple[str, str], Honesty], peers: list[str]) -> dict[str, Any]:
    """Return the figures of every model a task, and over both tasks those of ours and of the better peer."""
    figures: dict[str, Any] = {f"nlpd_{task}_{model}": round(one.nlpd, 3) for (task, model), one in found.items()}
    tasks = sorted({task for task, _ in found})
    overall = {model: _mean([found[task, model] for task in tasks]) for model in ("ours", *peers)}
    better = min(peers, key=lambda model: overall[model].nlpd)
    figures["calibration_peer"] = better
    for who, one in {"ours": overall["ours"], "botorch": overall[better]}.items():
        figures[f"nlpd_{who}"] = round(one.nlpd, 3)
        figures |= {
            f"coverage{100 * level:.0f}_{who}": round(c, 3) for level, c in zip(LEVELS, one.coverage, strict=True)
        }
    return figures

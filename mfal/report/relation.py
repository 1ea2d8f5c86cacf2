"""What was learnt about how each source relates to the target, and about the candidates that are left."""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from mfal.campaign.history import Progress, Rules
from mfal.campaign.policy import Policy, State, known_targets
from mfal.dataset import Dataset
from mfal.oracle import Observation
from mfal.surrogate.autoregressive import AutoregressiveGP
from mfal.types import Array


@dataclass(frozen=True)
class Relation:
    """One fidelity against a cheaper-modelled one: upper = slope x lower + offset.

    Attributes:
        lower: name of the one that is modelled first.
        upper: name of the other.
        slope: product of the learnt slopes between them.
        offset: learnt systematic difference, in the property's unit.
        offset_sd: its standard deviation.
        candidates: those with an answer from both.
        x: answers of `lower`.
        y: answers of `upper`.
        y_sd: reported uncertainty of these, zero where none was reported.
    """

    lower: str
    upper: str
    slope: float
    offset: float
    offset_sd: float
    candidates: tuple[str, ...]
    x: np.ndarray
    y: np.ndarray
    y_sd: np.ndarray


@dataclass(frozen=True)
class Forecast:
    """Prediction of the target property of one candidate, and the probability that it is a hit."""

    candidate: str
    mean: float
    sd: float
    probability: float


def relations(rules: Rules, progress: Progress) -> list[Relation]:
    """Return the learnt relation between neighbours in the ladder, and of everything to the target."""
    surrogate = progress.state.surrogate
    if not isinstance(surrogate, AutoregressiveGP):
        return []
    target = rules.ladder.target_index
    pairs = {(level, level + 1) for level in range(len(rules.ladder) - 1)} | {
        (level, target) for level in range(target)
    }
    return [
        _relation(rules, progress, surrogate, lower, upper) for lower, upper in sorted(pairs, key=lambda p: p[::-1])
    ]


def forecasts(rules: Rules, progress: Progress) -> list[Forecast]:
    """Return predictions for the candidates not yet measured, the likeliest hits first."""
    mean, sd, probability, open_ = (np.asarray(a) for a in eqx.filter_jit(_predict)(rules.policy, progress.state))
    rows = [
        Forecast(name, float(mean[i]), float(sd[i]), float(probability[i]))
        for i, name in enumerate(rules.pool.ids) if open_[i]
    ]  # fmt: skip
    return sorted(rows, key=lambda row: -row.probability)


def _link(surrogate: AutoregressiveGP, dataset: Dataset, lower: int, upper: int) -> tuple[Array, Array, Array]:
    posterior, paths = surrogate.condition(dataset), surrogate.paths[upper]
    above = jnp.where(jnp.arange(paths.shape[0]) > lower, paths, 0.0)
    variance = above @ posterior.offset_covariance @ above
    return paths[lower], above @ posterior.offset_mean, jnp.sqrt(jnp.clip(variance, 0.0))


def _predict(policy: Policy, state: State) -> tuple[Array, Array, Array, Array]:
    posterior = state.surrogate.condition(state.dataset)
    known = known_targets(policy, state.dataset, posterior.mean.shape[0])
    worth = policy.acquisition(posterior, known, jax.random.key(0))
    sd = jnp.sqrt(posterior.variance[:, policy.target])
    return posterior.mean[:, policy.target], sd, worth.probability, ~(known.measured | known.closed)


def _relation(rules: Rules, progress: Progress, surrogate: AutoregressiveGP, lower: int, upper: int) -> Relation:
    slope, offset, sd = (float(x) for x in eqx.filter_jit(_link)(surrogate, progress.state.dataset, lower, upper))
    below, above = (_answers(progress, rules.ladder.names[level]) for level in (lower, upper))
    both = tuple(name for name in above if name in below)
    return Relation(
        rules.ladder.names[lower], rules.ladder.names[upper], slope, offset, sd, both,
        x=np.array([below[name].value for name in both]),
        y=np.array([above[name].value for name in both]),
        y_sd=np.array([above[name].noise_sd or 0.0 for name in both]),
    )  # fmt: skip


def _answers(progress: Progress, fidelity: str) -> dict[str, Observation]:
    return {o.candidate: o for o in progress.observations if o.fidelity == fidelity and o.value is not None}

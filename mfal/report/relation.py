"""What was learnt about how each source relates to the target, and about the candidates that are left."""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from mfal.campaign.history import Progress, Rules
from mfal.campaign.policy import Policy, State, known_targets
from mfal.dataset import Dataset
from mfal.surrogate.autoregressive import AutoregressiveGP
from mfal.types import Array


@dataclass(frozen=True)
class Relation:
    """Target against one other fidelity: target = slope x value + offset.

    Attributes:
        fidelity: its name.
        slope: product of the learnt slopes up to the target.
        offset: learnt systematic difference, in the property's unit.
        offset_sd: its standard deviation.
        candidates: those measured at both.
        x: values at the fidelity.
        y: values at the target.
        y_sd: reported uncertainty at the target, zero where none was reported.
    """

    fidelity: str
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
    """Return the learnt relation of every other fidelity to the target."""
    surrogate = progress.state.surrogate
    if not isinstance(surrogate, AutoregressiveGP):
        return []
    target = rules.ladder.target_index
    links = eqx.filter_jit(_links)(surrogate, progress.state.dataset, target)
    slopes, offsets, deviations = (np.asarray(array) for array in links)
    others = [(level, name) for level, name in enumerate(rules.ladder.names) if level < target]
    return [
        _relation(rules, progress, name, float(slopes[level]), float(offsets[level]), float(deviations[level]), target)
        for level, name in others
    ]


def forecasts(rules: Rules, progress: Progress) -> list[Forecast]:
    """Return predictions for the candidates not yet measured, the likeliest hits first."""
    mean, sd, probability, open_ = (np.asarray(a) for a in eqx.filter_jit(_predict)(rules.policy, progress.state))
    rows = [
        Forecast(name, float(mean[i]), float(sd[i]), float(probability[i]))
        for i, name in enumerate(rules.pool.ids) if open_[i]
    ]  # fmt: skip
    return sorted(rows, key=lambda row: -row.probability)


def _links(surrogate: AutoregressiveGP, dataset: Dataset, target: int) -> tuple[Array, Array, Array]:
    posterior, paths = surrogate.condition(dataset), surrogate.paths[target]
    levels = jnp.arange(paths.shape[0])
    above = (levels > levels[:, None]) * paths
    variance = jnp.einsum("li,ij,lj->l", above, posterior.offset_covariance, above)
    return paths, above @ posterior.offset_mean, jnp.sqrt(jnp.clip(variance, 0.0))


def _predict(policy: Policy, state: State) -> tuple[Array, Array, Array, Array]:
    posterior = state.surrogate.condition(state.dataset)
    known = known_targets(policy, state.dataset, posterior.mean.shape[0])
    worth = policy.acquisition(posterior, known, jax.random.key(0))
    sd = jnp.sqrt(posterior.variance[:, policy.target])
    return posterior.mean[:, policy.target], sd, worth.probability, ~(known.measured | known.closed)


def _relation(rules: Rules, progress: Progress, name: str, slope: float, offset: float, sd: float, target: int) -> Relation:
    cheap = {o.candidate: o.value for o in progress.observations if o.fidelity == name and o.value is not None}
    both = [
        (o.candidate, cheap[o.candidate], o.value, o.noise_sd or 0.0)
        for o in progress.observations
        if o.fidelity == rules.ladder.names[target] and o.value is not None and o.candidate in cheap
    ]
    names, x, y, y_sd = zip(*both, strict=True) if both else ((), (), (), ())
    return Relation(name, slope, offset, sd, names, np.array(x), np.array(y), np.array(y_sd))

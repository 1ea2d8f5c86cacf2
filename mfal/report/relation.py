"""What was learnt about how each source relates to the target, and about the candidates that are left."""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from mfal.campaign.history import Progress, Rules
from mfal.campaign.policy import Policy, State, known_targets
from mfal.oracle import Observation
from mfal.surrogate.base import AbstractBelief, Posterior
from mfal.types import Array


@dataclass(frozen=True)
class Relation:
    """One fidelity against one modelled before it: upper = centre + offset + slope x (lower - centre).

    Sources modelled before `lower` are held at their typical values.

    Attributes:
        lower: name of the one that is modelled first.
        upper: name of the other.
        slope: over all paths between them.
        slope_sd: its standard deviation.
        centre: typical value of `lower`, in the property's unit.
        offset: systematic difference of `upper` from `lower` there, in the property's unit.
        offset_sd: its standard deviation.
        candidates: those with an answer from both.
        x: answers of `lower`.
        y: answers of `upper`.
        y_sd: reported uncertainty of these, zero where none was reported.
    """

    lower: str
    upper: str
    slope: float
    slope_sd: float
    centre: float
    offset: float
    offset_sd: float
    candidates: tuple[str, ...]
    x: np.ndarray
    y: np.ndarray
    y_sd: np.ndarray

    def line(self, at: np.ndarray) -> np.ndarray:
        """Return what `upper` is expected to say where `lower` says `at`."""
        return self.centre + self.offset + self.slope * (at - self.centre)

    def line_sd(self, at: np.ndarray) -> np.ndarray:
        """Return the standard deviation of `line`, slope and offset taken as independent."""
        return np.hypot(self.offset_sd, self.slope_sd * (at - self.centre))


@dataclass(frozen=True)
class Forecast:
    """Prediction for one candidate: target property, probability of success, and gain of measuring it."""

    candidate: str
    mean: float
    sd: float
    probability: float
    gain: float


def relations(rules: Rules, progress: Progress, typical: list[float]) -> list[Relation]:
    """Return the learnt relation between neighbours in the ladder, and of everything to the target.

    Args:
        rules: of the campaign.
        progress: so far.
        typical: value of each fidelity that relations are stated at.
    """
    target = rules.ladder.target_index
    pairs = {(level, level + 1) for level in range(len(rules.ladder) - 1)} | {
        (level, target) for level in range(target)
    }
    known = _Links.of(progress.state.belief, np.asarray(typical, dtype=np.float64))
    return [_relation(rules, progress, known, lower, upper) for lower, upper in sorted(pairs, key=lambda p: p[::-1])]


def forecasts(rules: Rules, progress: Progress) -> list[Forecast]:
    """Return predictions for the candidates not yet measured, the likeliest hits first."""
    columns = [np.asarray(a) for a in eqx.filter_jit(_predict)(rules.policy, progress.state)]
    *numbers, open_ = columns
    rows = [
        Forecast(name, *(float(column[i]) for column in numbers))
        for i, name in enumerate(rules.pool.ids) if open_[i]
    ]  # fmt: skip
    return sorted(rows, key=lambda row: -row.probability)


def _predict(policy: Policy, state: State) -> tuple[Array, ...]:
    posterior, known = Posterior.of(state.belief, 1), known_targets(policy, state.dataset)
    worth = policy.acquisition(posterior, known, jax.random.key(0))
    mean, sd = posterior.mean[:, policy.target], jnp.sqrt(posterior.variance[:, policy.target])
    return mean, sd, worth.probability, worth.gain[:, policy.target], ~known.decided


def _relation(rules: Rules, progress: Progress, known: "_Links", lower: int, upper: int) -> Relation:
    value, value_sd, slope, slope_sd = known.line(lower, upper)
    below, above = (_answers(progress, rules.ladder.names[level]) for level in (lower, upper))
    both = tuple(name for name in above if name in below)
    centre = float(known.typical[lower])
    return Relation(
        rules.ladder.names[lower], rules.ladder.names[upper], slope, slope_sd, centre, value - centre, value_sd, both,
        x=np.array([below[name].value for name in both]),
        y=np.array([above[name].value for name in both]),
        y_sd=np.array([above[name].noise_sd or 0.0 for name in both]),
    )  # fmt: skip


@dataclass(frozen=True)
class _Links:
    """Value of each fidelity where those before it are typical, slopes, and standard deviations of both."""

    typical: np.ndarray
    level: np.ndarray
    level_sd: np.ndarray
    slope: np.ndarray
    slope_sd: np.ndarray

    @staticmethod
    def of(belief: AbstractBelief, typical: np.ndarray) -> "_Links":
        links = jax.tree.map(np.asarray, eqx.filter_jit(lambda belief: belief.links())(belief))
        return _Links(typical, links.level_mean, links.level_sd, links.slope_mean, links.slope_sd)

    def line(self, lower: int, upper: int) -> tuple[float, float, float, float]:
        """Return the value of `upper` where `lower` is typical, the slope, and the standard deviation after each."""
        between = slice(lower, upper + 1)
        paths = np.linalg.inv(np.eye(upper + 1 - lower) - self.slope[between, between])
        ahead = (self.level - self.typical)[between]
        ahead[0] = 0.0
        # To first order, with d T = T dS T for T = (I - S)^-1.
        slope_variance = self.slope_sd[between, between] ** 2
        of_slope = np.outer(paths[-1], paths[:, 0]) ** 2
        of_value = np.outer(paths[-1], paths @ ahead) ** 2
        level_variance = paths[-1, 1:] ** 2 @ self.level_sd[between][1:] ** 2
        return (
            float(self.typical[upper] + paths[-1] @ ahead),
            float(np.sqrt(level_variance + np.sum(of_value * slope_variance))),
            float(paths[-1, 0]),
            float(np.sqrt(np.sum(of_slope * slope_variance))),
        )


def _answers(progress: Progress, fidelity: str) -> dict[str, Observation]:
    return {o.candidate: o for o in progress.observations if o.fidelity == fidelity and o.value is not None}

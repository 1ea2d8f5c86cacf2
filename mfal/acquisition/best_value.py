"""Worth of every query for the question "which candidates are the k best?", in EUR.

A hit is a candidate that has been measured at the target and is among the k best of the pool; it is worth V. The
figure of merit is the margin d_i by which candidate i misses the k-th best of the others, tau, and the payoff of
measuring it is V P(d_i < 0).

tau is a function of all target values. Its covariance with an answer follows from its mean gradient (Stein 1981,
10.1214/aos/1176345632): Cov(tau, f_l(i)) = sum_j pi_j Cov(f_T(j), f_l(i)), with pi_j the probability that j is the
k-th best. Only pi and the first two moments of tau come from samples, drawn for the candidates that may be among the k
best.

An answer counts by its difference from the level of its source. What shifts all answers of a source alike does not
change a ranking, and becomes known with the first few answers; judging a single answer with that level still in it
would find every first answer of a new source worthless, and never ask one.
"""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.stats import norm

from mfal.acquisition.base import AbstractAcquisition, Known, Worth
from mfal.acquisition.marginal import most_promising
from mfal.acquisition.value import gains, marginal_worth
from mfal.surrogate.base import Posterior
from mfal.types import Array, Float, Int, PRNGKeyArray


class BestValue(AbstractAcquisition):
    """Worth of every query towards finding the k best candidates.

    Attributes:
        value_of_hit_eur: V of each of the first `wanted` hits; further ones are worth nothing.
        price_eur: of a measurement at the target.
        noise_variance: of one answer at each fidelity, unit squared.
        sign: +1 if low values are best, -1 if high ones are.
        wanted: hits, those in hand included; infinite if every one is welcome.
        target: index of the target fidelity.
        top: k.
        samples: joint samples that the k-th best is estimated from.
        shortlist: most candidates that are sampled.
    """

    in_eur: ClassVar[bool] = True

    value_of_hit_eur: Float[Array, ""]
    price_eur: Float[Array, ""]
    noise_variance: Float[Array, " L"]
    sign: Float[Array, ""]
    wanted: Float[Array, ""]
    target: int = eqx.field(static=True)
    top: int = eqx.field(static=True)
    samples: int = eqx.field(static=True, default=512)
    shortlist: int = eqx.field(static=True, default=512)

    def __call__(self, posterior: Posterior, known: Known, key: PRNGKeyArray) -> Worth:
        """Return gains in EUR and hit probabilities; decided candidates gain nothing."""
        rival = self._rival(posterior, known, key)
        chance = jnp.where(known.decided, 0.0, self._chance(rival.mean, jnp.sqrt(rival.variance)))
        worth = marginal_worth(self.value_of_hit_eur, self.price_eur, chance, self.wanted - rival.found)
        belief = rival.mean, rival.variance, self._resolved(posterior, rival)
        payoff = lambda mean, sd: worth * self._chance(mean, sd)  # noqa: E731
        edges = lambda sd: self._edges(worth, sd)  # noqa: E731
        gain = gains(payoff, self.price_eur, *belief, edges, self.target)
        return Worth(jnp.where(known.decided[:, None], 0.0, gain), chance)

    def _chance(self, mean: Array, sd: Array) -> Array:
        return norm.cdf(-mean / sd)

    def _edges(self, worth: Array, sd: Array) -> tuple[Array, Array]:
        """Return the margins from which measuring pays: all those under one value."""
        worthwhile = norm.ppf(jnp.minimum(self.price_eur / jnp.maximum(worth, _TINY), 1.0))
        return jnp.full_like(sd, -_FAR), jnp.clip(-sd * worthwhile, -_FAR, _FAR)

    def _resolved(self, posterior: Posterior, rival: "_Rival") -> Float[Array, "n L"]:
        """Return the variance of the margin that one answer at each fidelity takes away."""
        own, level = posterior.own, posterior.level_cross
        answer = jnp.diagonal(own, axis1=1, axis2=2) - 2.0 * jnp.diagonal(level, axis1=1, axis2=2)
        answer = jnp.maximum(answer + posterior.level_variance, 0.0)
        with_value = own[:, self.target] - level[:, self.target]
        # tau is of the others: a candidate's own part in the k-th best is left out, and theirs makes up for it.
        with_tau = rival.with_answers - rival.with_levels - rival.place[:, None] * with_value
        with_tau = with_tau / jnp.maximum(1.0 - rival.place, _LEAST)[:, None]
        shared = self.sign * (with_value - with_tau)
        return jnp.minimum(shared**2 / (answer + self.noise_variance + _TINY), rival.variance[:, None])

    def _rival(self, posterior: Posterior, known: Known, key: PRNGKeyArray) -> "_Rival":
        listed = most_promising(posterior, known.decided, self.target, self.sign, self.shortlist)
        outcome = self._outcomes(posterior, known, listed, key)
        everyone, following = lowest(outcome, self.top)
        # Of the others: whoever is among the k best leaves a place to the next one.
        tau = jnp.where(outcome <= everyone[:, None], following[:, None], everyone[:, None])
        size = listed.shape[0]
        chance = jnp.mean(outcome == everyone[:, None], axis=0)[:size]
        weight, which = jax.lax.top_k(chance, min(_RIVALS, size))
        weight = weight * jnp.sum(chance) / jnp.maximum(jnp.sum(weight), _TINY)
        target = jnp.asarray(self.target)
        with_answers = posterior.combination(listed[which], target, weight)
        with_levels = weight @ posterior.level_cross[listed[which], self.target]
        noise = self.noise_variance[self.target]
        value = self.sign * posterior.mean[:, self.target]
        spread = posterior.variance[:, self.target] + noise + jnp.var(everyone)
        spread = jnp.maximum(spread - 2.0 * with_answers[:, self.target], _TINY)
        margin = outcome[:, :size] - tau[:, :size]
        # A listed candidate competes with the others only, and its samples say how its value and theirs hang together.
        mean = (value - jnp.mean(everyone)).at[listed].set(value[listed] - jnp.mean(tau[:, :size], axis=0))
        spread = spread.at[listed].set(jnp.where(known.decided[listed], _TINY, jnp.var(margin, axis=0)))
        place = jnp.zeros_like(value).at[listed[which]].set(weight)
        in_hand = outcome[:, size:]
        found = jnp.mean(jnp.sum((in_hand <= everyone[:, None]) & (in_hand < _FAR), axis=1))
        return _Rival(mean, spread, with_answers, with_levels, place, found)

    def _outcomes(
        self, posterior: Posterior, known: Known, listed: Int[Array, " s"], key: PRNGKeyArray
    ) -> Float[Array, "samples m"]:
        """Return sampled outcomes of the listed candidates, then the k best answers in hand; low is good."""
        draw_key, noise_key = jax.random.split(key)
        draws = posterior.block_draws(listed, self.target, self.samples, draw_key)
        noise = jnp.sqrt(self.noise_variance[self.target]) * jax.random.normal(noise_key, draws.shape)
        # A candidate that is decided does not compete as a sample: measured ones do with their answers, below.
        open_ = jnp.where(known.decided[listed], _FAR, self.sign * (draws + noise))
        answers = jnp.where(known.measured, self.sign * known.value, _FAR)
        best = -jax.lax.top_k(-answers, min(self.top, answers.shape[0]))[0]
        return jnp.concatenate([open_, jnp.broadcast_to(best, (self.samples, best.shape[0]))], axis=1)


class _Rival(eqx.Module):
    """Margins: their moments, and what the k-th best of all has in common with answers and with the sources' levels.

    `place` is the probability of a candidate to be that k-th best itself, `found` how many of the k best are expected
    to be in hand.
    """

    mean: Float[Array, " n"]
    variance: Float[Array, " n"]
    with_answers: Float[Array, "n L"]
    with_levels: Float[Array, " L"]
    place: Float[Array, " n"]
    found: Float[Array, ""]


_TINY = 1e-18
# Stands for infinity in the property's unit, so that differences stay finite.
_FAR = 1e9
# Least share of the k-th place that the others are left with.
_LEAST = 1e-3
# Candidates that share the k-th place in the gradient of tau.
_RIVALS = 64


def lowest(outcome: Float[Array, "samples m"], top: int) -> tuple[Float[Array, " samples"], Float[Array, " samples"]]:
    """Return the `top`-th lowest outcome of each sample and the one after it (far off if there are fewer).

    Value by value from below: XLA sorts whole rows for that on a CPU, which takes ten times as long.
    """
    samples = outcome.shape[0]

    def next_value(_: Array, so_far: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        last, count, kth, following = so_far
        value = jnp.min(jnp.where(outcome > last[:, None], outcome, jnp.inf), axis=1)
        # Equal outcomes are as many.
        more = count + jnp.sum(outcome == value[:, None], axis=1, dtype=jnp.int32)
        kth = jnp.where((count < top) & (more >= top), value, kth)
        return value, more, kth, jnp.where((count < top + 1) & (more >= top + 1), value, following)

    far = jnp.full(samples, _FAR, outcome.dtype)
    begin = jnp.full_like(far, -jnp.inf), jnp.zeros(samples, jnp.int32), far, far
    return jax.lax.fori_loop(0, top + 1, next_value, begin)[2:]

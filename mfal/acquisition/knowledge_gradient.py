"""Knowledge gradient over a pool: expected rise of the best target mean after one answer from any fidelity.

An answer at (i, l) moves the target means by sigma_j Z with sigma_j = Cov(f_T(j), f_l(i)) / sd(y_l(i)), so that the
gain is E[max_j (mu_j + sigma_j Z)] - max_j mu_j (Frazier, Powell and Dayanik 2009, 10.1287/ijoc.1080.0314; for several
sources: Poloczek, Wang and Frazier 2017, sec. 3, arXiv 1603.00389), here by the exact upper envelope and before the
price. It counts what the answer says about every candidate, not only about its own.

Exact while the pool has no more candidates than `members` and `queries`. In larger pools the best is sought among the
`members` with the highest upper bounds, and only the `queries` most promising candidates of each fidelity are judged,
picked by what their answer would do to their own target mean alone; the gain of all others is zero. Both cuts can only
lower a gain.
"""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from mfal.acquisition.base import AbstractAcquisition, Known, Worth
from mfal.acquisition.envelope import expected_rise
from mfal.acquisition.improvement import expected_improvement
from mfal.acquisition.marginal import explained_share, surpassing
from mfal.surrogate.base import Posterior
from mfal.types import Array, Float, Int, PRNGKeyArray


class KnowledgeGradient(AbstractAcquisition):
    """Expected rise of the best target mean, in the property's unit.

    Attributes:
        noise_variance: of one answer at each fidelity, unit squared.
        sign: +1 if low values are best, -1 if high ones are.
        target: index of the target fidelity.
        queries: candidates judged at each fidelity.
        members: candidates among which the best is sought.
    """

    in_eur: ClassVar[bool] = False

    noise_variance: Float[Array, " L"]
    sign: Float[Array, ""]
    target: int = eqx.field(static=True)
    queries: int = eqx.field(static=True, default=256)
    members: int = eqx.field(static=True, default=1024)

    def __call__(self, posterior: Posterior, known: Known, key: PRNGKeyArray) -> Worth:
        """Return gains in the property's unit and the probability of beating the best known answer."""
        level = jnp.where(known.closed, -jnp.inf, -self.sign * posterior.mean[:, self.target])
        asked = self._promising_queries(posterior, known, level)
        members = self._promising_members(posterior, level)
        candidates, fidelities = posterior.mean.shape
        pairs = asked.ravel(), jnp.repeat(jnp.arange(fidelities), asked.shape[1])
        size = max(1, min(pairs[0].shape[0], _COLUMNS // (candidates * fidelities), _SIDE_BY_SIDE))
        rise = jax.lax.map(lambda pair: self._rise(posterior, level, members, pair), pairs, batch_size=size)
        gain = jnp.zeros_like(posterior.mean).at[pairs].set(rise)
        gain = gain.at[:, self.target].set(jnp.where(known.decided, 0.0, gain[:, self.target]))
        return Worth(gain, surpassing(posterior, known, self.target, self.sign))

    def _promising_queries(self, posterior: Posterior, known: Known, level: Array) -> Int[Array, "L queries"]:
        """Return, for each fidelity, the candidates whose answer promises most through their own target mean."""
        share = explained_share(posterior, self.target, self.noise_variance)
        moved = jnp.sqrt(share * posterior.variance[:, self.target, None])
        best = jnp.argmax(level)
        rival = jnp.where(jnp.arange(level.shape[0]) == best, jnp.max(level.at[best].set(-jnp.inf)), level[best])
        # Either it overtakes the best of the others or, being the best, it falls below the second.
        behind = jnp.where(jnp.isfinite(level) & jnp.isfinite(rival), -jnp.abs(level - rival), -jnp.inf)
        promise = jax.vmap(expected_improvement, in_axes=(None, 1))(behind, moved)
        decided = (jnp.arange(share.shape[1]) == self.target)[:, None] & known.decided
        return jax.lax.top_k(jnp.where(decided, -1.0, promise), min(self.queries, level.shape[0]))[1]

    def _promising_members(self, posterior: Posterior, level: Array) -> Int[Array, " members"]:
        bound = level + _PROMISE * jnp.sqrt(posterior.variance[:, self.target])
        # The best mean belongs to them whatever the bounds say: without it the rise would count from too low.
        bound = bound.at[jnp.argmax(level)].set(jnp.inf)
        return jax.lax.top_k(bound, min(self.members, level.shape[0]))[1]

    def _rise(self, posterior: Posterior, level: Array, members: Array, pair: tuple[Array, Array]) -> Float[Array, ""]:
        candidate, fidelity = pair
        column = posterior.column(candidate, fidelity)[members, self.target]
        answer = posterior.variance[candidate, fidelity] + self.noise_variance[fidelity]
        slope = jnp.where(answer > 0.0, column / jnp.sqrt(jnp.where(answer > 0.0, answer, 1.0)), 0.0)
        # A closed candidate can never be the answer; the best member's line in its place changes nothing.
        height, best = level[members], jnp.argmax(level[members])
        open_ = jnp.isfinite(height)
        return expected_rise(jnp.where(open_, height, height[best]), jnp.where(open_, slope, slope[best]))


# Standard deviations above the mean at which candidates compare as rivals.
_PROMISE = 2.0
# Elements of the columns of covariance in flight, and envelopes worth running side by side.
_COLUMNS, _SIDE_BY_SIDE = 2**25, 64

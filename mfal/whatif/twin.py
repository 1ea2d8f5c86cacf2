"""Worlds that a campaign may find itself in: drawn from what it believes now, or as they were recorded."""

from abc import abstractmethod

import equinox as eqx
import jax
import jax.numpy as jnp

from mfal.campaign.policy import Policy, State
from mfal.dataset import FAILED, OBSERVED
from mfal.types import Array, Float, PRNGKeyArray
from mfal.whatif.world import AbstractWorld, Table


class AbstractTwin(eqx.Module):
    """Draws the worlds of a study."""

    @abstractmethod
    def draw(self, policy: Policy, state: State, count: int, key: PRNGKeyArray) -> AbstractWorld:
        """Return worlds stacked along the first axis; the same key, the same worlds.

        Args:
            policy: gives noise and target.
            state: in which the campaigns begin.
            count: worlds.
            key: for the draws.
        """


class PosteriorTwin(AbstractTwin):
    """Worlds from the belief in which the campaigns begin: what may come next."""

    def draw(self, policy: Policy, state: State, count: int, key: PRNGKeyArray) -> Table:
        """Return worlds drawn from the posterior."""
        return draw_worlds(policy, state, count, key)


class ReplayTwin(AbstractTwin):
    """The one world of recorded answers, for every campaign.

    Attributes:
        world: not stacked.
    """

    world: Table

    def draw(self, policy: Policy, state: State, count: int, key: PRNGKeyArray) -> Table:
        """Return the same world so many times."""
        return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (count, *leaf.shape)), self.world)


def draw_worlds(policy: Policy, state: State, count: int, key: PRNGKeyArray) -> Table:
    """Return worlds drawn from the posterior, stacked along the first axis.

    Answers in hand stand as they are; the others carry the noise of their fidelity, and fail as often as those so far.

    Args:
        policy: gives noise and target.
        state: of a running campaign, or of one that has not begun.
        count: worlds.
        key: the same key, the same worlds.
    """
    of_truth, of_noise, of_failure = jax.random.split(key, 3)
    levels = range(state.dataset.status.shape[1])
    mean = jnp.stack([state.belief.draws(count, level, of_truth) for level in levels], axis=2)
    noise = jnp.sqrt(policy.noise_variance) * jax.random.normal(of_noise, mean.shape)
    observed = state.dataset.observed
    value = jnp.where(observed, state.dataset.value, mean + noise)
    fails = jax.random.uniform(of_failure, mean.shape) < failure_rates(state)
    failed = jnp.where(observed, False, fails | (state.dataset.status == FAILED))
    return Table(value, mean, failed)


def failure_rates(state: State) -> Float[Array, " L"]:
    """Return the share of finished queries that failed at each fidelity, 0 where none has finished."""
    failed = jnp.sum(state.dataset.status == FAILED, axis=0)
    return failed / jnp.maximum(failed + jnp.sum(state.dataset.status == OBSERVED, axis=0), 1)

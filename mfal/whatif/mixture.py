"""Worlds as uncertain as the answers leave them: each from hyper-parameters, and a shape of the values, of its own."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from mfal.campaign.policy import Policy, State
from mfal.surrogate.hyperparameters import with_parameters, with_slopes_drawn
from mfal.surrogate.recursive import RecursiveGP
from mfal.surrogate.warp import Warp
from mfal.surrogate.warped import rows_learnt_from, warped_draws
from mfal.types import Array, PRNGKeyArray
from mfal.whatif.twin import AbstractTwin, PosteriorTwin, draw_worlds, failure_rates
from mfal.whatif.world import Table


class MixtureTwin(AbstractTwin):
    """Worlds from a posterior in which the hyper-parameters are uncertain too.

    Attributes:
        parameters: draws of the hyper-parameters stacked along the first axis, see `sampled_surrogates` and
            `warped_draws`.
        warp: draws of the transform that go with them, likewise; None where values are normal.
        fresh: worlds of the same kind for a campaign that begins anew, in which no answer is known: each has slopes of
            its own from what the answers say of them, and fails as often. Else worlds that this campaign may be in.
    """

    parameters: Any
    warp: Warp | None
    fresh: bool = eqx.field(static=True)

    def draw(self, policy: Policy, state: State, count: int, key: PRNGKeyArray) -> Table:
        """Return worlds, each drawn given one of the draws picked at random; conditions once a world."""
        draws = jax.tree.leaves(self.parameters)[0].shape[0]

        def world(key: PRNGKeyArray) -> Table:
            of_pick, of_world = jax.random.split(key)
            pick = jax.random.randint(of_pick, (), 0, draws)
            parameters, warp = jax.tree.map(lambda leaf: leaf[pick], (self.parameters, self.warp))
            if warp is None:
                return _world(policy, state, parameters, self.fresh, of_world)
            normal = eqx.tree_at(lambda s: s.dataset, state, warp.of_answers(state.dataset))
            return _own_unit(_world(policy, normal, parameters, self.fresh, of_world), warp, state, self.fresh)

        # Random features of a whole pool for a few worlds at a time.
        return jax.lax.map(world, jax.random.split(key, count), batch_size=_TOGETHER)


_TOGETHER = 8


def twin_of(policy: Policy, state: State, key: PRNGKeyArray) -> "PosteriorTwin | MixtureTwin":
    """Return the twin that predicts best in replays: hyper-parameters and shape of the values of each world its own.

    Without an answer at the target, and for another surrogate than recursive co-kriging, they are drawn from the belief
    as it is. For the host.
    """
    surrogate, dataset = state.surrogate, state.dataset
    if not (isinstance(surrogate, RecursiveGP) and bool(dataset.observed[:, policy.target].any())):
        return PosteriorTwin()
    answers = np.asarray(dataset.observed).sum(axis=0)
    drawn = warped_draws(surrogate.sized(answers.tolist()), dataset, rows_learnt_from(dataset), _DRAWS, key)
    return MixtureTwin(drawn.parameters, drawn.warp, fresh=False)


# Draws that worlds pick from.
_DRAWS = 64


def _own_unit(world: Table, warp: Warp, state: State, fresh: bool) -> Table:
    """Return a world of normal values in their own unit; answers in hand stand as they are."""
    mean = warp.from_normal(world.mean)
    value = mean + (world.value - world.mean)
    kept = state.dataset.observed & (not fresh)
    return Table(jnp.where(kept, state.dataset.value, value), mean, world.failed)


def _world(policy: Policy, state: State, parameters: Any, fresh: bool, key: PRNGKeyArray) -> Table:
    """Return one world, not stacked."""
    of_world, of_slopes, of_failure = jax.random.split(key, 3)
    surrogate, dataset = jax.tree.map(_narrowed, with_parameters(state.surrogate, parameters)), state.dataset
    if fresh:
        levels, dataset = dataset.status.shape[1], jax.tree.map(jnp.zeros_like, dataset)
        surrogate = with_slopes_drawn(surrogate, state.dataset, of_slopes).sized([0] * levels)
    believed = (surrogate, surrogate.condition(dataset), dataset)
    within = eqx.tree_at(lambda s: (s.surrogate, s.belief, s.dataset), state, believed)
    world = jax.tree.map(lambda leaf: leaf[0], draw_worlds(policy, within, 1, of_world))
    return _failing(world, state, of_failure) if fresh else world


def _narrowed(leaf: Array) -> Array:
    """Return indices in 32 bits: single precision knows no others."""
    return leaf.astype(jnp.int32) if leaf.dtype == jnp.int64 else leaf


def _failing(world: Table, state: State, key: PRNGKeyArray) -> Table:
    """Return a world in which queries fail as often as those so far, no matter which."""
    failed = jax.random.uniform(key, world.failed.shape) < failure_rates(state)
    return Table(world.value, world.mean, failed)

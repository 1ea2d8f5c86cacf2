"""What goes wrong with the answers of a fidelity, as far as it changes the worlds of a study.

A plug-in says it (entry point ``mfal.faults``, named like the oracle, from a fidelity and the pool to `Faults`). Nobody
is asked what is true: truths are drawn from the belief, and the faults happen to those.

Plates and drift give all answers of one day an offset o of variance V. Where every plate carries standards whose mean
errs by the variance s^2, a laboratory's answers count after correction, and what is left is

    (1 - w) o + sqrt(w (1 - w) V) e,   w = V / (V + s^2),   e ~ N(0, 1)

which is o less its best linear estimate; without standards w is zero.
"""

import equinox as eqx
import jax
import jax.numpy as jnp

from mfal.campaign.policy import Policy, State
from mfal.dataset import FAILED
from mfal.errors import UnknownPluginError
from mfal.fidelity import Fidelity, Ladder
from mfal.oracle import load_plugin
from mfal.space.pool import Pool
from mfal.types import Array, Bool, Float, Int, PRNGKeyArray
from mfal.whatif.twin import AbstractTwin
from mfal.whatif.world import Table

# Days that offsets are drawn for; later days are as the last one.
DAYS = 364


class Faults(eqx.Module):
    """What goes wrong with the answers of one fidelity; zero is what does not.

    Attributes:
        batch_sd: of what all answers of one day are off by, in the property's unit.
        drift_sd_per_root_week: of the walk since a calibration, likewise.
        standards_sd: s, of what the standards of one plate say; infinite without standards.
        mistaken_share: of the answers that are about another material.
        mistaken_for: which, for each; None for any other one.
        shift_share: of the answers that are shifted, for each kind of mishap.
        shift_sd: by how much.
        failure: probability that a query comes to nothing, of a material that can be made easily: of each, or of all;
            None where queries fail as often as they have so far.
        hard_failure: the same of one that is hard to make.
        hard_share: of the materials; which ones lies along a direction in the descriptors that every world draws.
        descriptors: standardised, of the pool.
        calibration_days: between calibrations.
        said: the faults in words, one each.
    """

    batch_sd: Float[Array, ""]
    drift_sd_per_root_week: Float[Array, ""]
    standards_sd: Float[Array, ""]
    mistaken_share: Float[Array, ""]
    mistaken_for: Int[Array, " n"] | None
    shift_share: Float[Array, " kinds"]
    shift_sd: Float[Array, " kinds"]
    failure: Float[Array, "*n"] | None
    hard_failure: Float[Array, "*n"]
    hard_share: Float[Array, ""]
    descriptors: Float[Array, "n d"]
    calibration_days: int = eqx.field(static=True)
    said: tuple[str, ...] = eqx.field(static=True)


class FaultyTwin(AbstractTwin):
    """Worlds of another twin, with faults.

    Attributes:
        within: draws what is true and what faultless answers are.
        faults: of each fidelity, None for those that have none of their own.
    """

    within: AbstractTwin
    faults: tuple[Faults | None, ...]

    def draw(self, policy: Policy, state: State, count: int, key: PRNGKeyArray) -> Table:
        """Return worlds stacked along the first axis; answers in hand stand as they are."""
        of_worlds, of_faults = jax.random.split(key)
        worlds = self.within.draw(policy, state, count, of_worlds)
        assert isinstance(worlds, Table)
        for level, faults in enumerate(self.faults):
            if faults is not None:
                one = lambda world, key, level=level, faults=faults: befallen(faults, world, level, state, key)  # noqa: E731
                worlds = jax.vmap(one)(worlds, jax.random.split(jax.random.fold_in(of_faults, level), count))
        return worlds


def declared(fidelity: Fidelity, pool: Pool) -> Faults | None:
    """Return the faults that a source's plug-in tells of, or else those that the campaign file does; None for none.

    A person's laboratory has no plug-in, and what its answers may be mistaken for is any other candidate.
    """
    try:
        return load_plugin("mfal.faults", fidelity.oracle)(fidelity, pool)
    except UnknownPluginError:
        share = fidelity.mistaken_share
    if not share:
        return None
    text = f"{share:.0%} of the answers of {fidelity.name} are about another candidate"
    return no_faults(pool, mistaken_share=jnp.asarray(share), said=(text,))


def of_ladder(ladder: Ladder, pool: Pool) -> tuple[Faults | None, ...]:
    """Return the faults of every fidelity."""
    return tuple(declared(fidelity, pool) for fidelity in ladder.fidelities)


def no_faults(pool: Pool, **changes) -> Faults:
    """Return faults that never happen, apart from the fields given."""
    zero, none = jnp.zeros(()), jnp.zeros(0)
    fields = {
        "batch_sd": zero, "drift_sd_per_root_week": zero, "standards_sd": jnp.asarray(jnp.inf), "mistaken_share": zero,
        "mistaken_for": None, "shift_share": none, "shift_sd": none, "failure": None, "hard_failure": zero,
        "hard_share": zero, "descriptors": jnp.asarray(pool.features), "calibration_days": DAYS, "said": (),
    }  # fmt: skip
    return Faults(**{**fields, **changes})


def befallen(faults: Faults, world: Table, level: int, state: State, key: PRNGKeyArray) -> Table:
    """Return a world, not stacked, in which the faults happen to one fidelity."""
    of_mistakes, of_shifts, of_failures, of_days = jax.random.split(key, 4)
    observed, mean = state.dataset.observed[:, level], world.mean[:, level]
    wrong = _mistaken(faults, mean, of_mistakes) + _shift(faults, mean.shape[0], of_shifts)
    value = jnp.where(observed, world.value[:, level], world.value[:, level] + wrong)
    failed = _failed(faults, world.failed[:, level], of_failures) | (state.dataset.status[:, level] == FAILED)
    days = jnp.zeros((DAYS, world.value.shape[1])) if world.by_day is None else world.by_day
    return Table(
        world.value.at[:, level].set(value),
        world.mean,
        world.failed.at[:, level].set(failed & ~observed),
        days.at[:, level].set(offsets(faults, of_days)),
    )


def offsets(faults: Faults, key: PRNGKeyArray) -> Float[Array, " days"]:
    """Return by how much answers are off on each day, once the standards on their plates have been looked at."""
    of_batch, of_walk, of_standards = jax.random.split(key, 3)
    batch = faults.batch_sd * jax.random.normal(of_batch, (DAYS,))
    steps = faults.drift_sd_per_root_week / 7.0**0.5 * jax.random.normal(of_walk, (DAYS,))
    # The first day after a calibration has no drift yet; a period's walk begins anew.
    walk, since = jnp.cumsum(steps), jnp.arange(DAYS) % faults.calibration_days
    off = batch + walk - walk[jnp.arange(DAYS) - since]
    variance = faults.batch_sd**2 + faults.drift_sd_per_root_week**2 * since / 7.0
    weight = variance / (variance + faults.standards_sd**2 + _TINY)
    left = jnp.sqrt(weight * (1.0 - weight) * variance) * jax.random.normal(of_standards, (DAYS,))
    return (1.0 - weight) * off + left


def _mistaken(faults: Faults, mean: Float[Array, " n"], key: PRNGKeyArray) -> Float[Array, " n"]:
    """Return what is added to answers that are about another material."""
    of_share, of_other = jax.random.split(key)
    size = mean.shape[0]
    another = (jnp.arange(size) + jax.random.randint(of_other, (size,), 1, max(size, 2))) % size
    other = another if faults.mistaken_for is None else faults.mistaken_for
    return jnp.where(jax.random.uniform(of_share, (size,)) < faults.mistaken_share, mean[other] - mean, 0.0)


def _shift(faults: Faults, size: int, key: PRNGKeyArray) -> Float[Array, " n"]:
    of_share, of_size = jax.random.split(key)
    shape = (size, faults.shift_share.shape[0])
    happens = jax.random.uniform(of_share, shape) < faults.shift_share
    return jnp.sum(jnp.where(happens, faults.shift_sd * jax.random.normal(of_size, shape), 0.0), axis=1)


def _failed(faults: Faults, before: Bool[Array, " n"], key: PRNGKeyArray) -> Bool[Array, " n"]:
    if faults.failure is None:
        return before
    of_direction, of_luck = jax.random.split(key)
    size, columns = faults.descriptors.shape
    along = faults.descriptors @ jax.random.normal(of_direction, (columns,))
    hard = jnp.argsort(jnp.argsort(along)) < faults.hard_share * max(size - 1, 1)
    return jax.random.uniform(of_luck, (size,)) < jnp.where(hard, faults.hard_failure, faults.failure)


_TINY = 1e-18

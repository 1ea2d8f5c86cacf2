"""The simulated laboratory as worlds of a what-if study: the same truths and the same faults, traced."""

import equinox as eqx
import jax
import jax.numpy as jnp

from mfal.campaign.policy import Policy, State
from mfal.types import Array, Bool, Float, Int, PRNGKeyArray
from mfal.whatif.twin import AbstractTwin
from mfal.whatif.world import AbstractWorld
from physics.experiment.truth import AbstractTruth


class Faults(eqx.Module):
    """What goes wrong in a laboratory, as far as it changes answers; zero is what does not.

    Attributes:
        noise_sd: of one answer.
        batch_sd: of all answers of one day.
        drift_sd_per_root_week: of the walk since a calibration.
        calibration_days: between calibrations.
        mistaken_share: of the answers that are about another material.
        mistaken_for: which, for each.
        failure: probability that a sample comes to nothing, for each material.
    """

    noise_sd: Float[Array, ""]
    batch_sd: Float[Array, ""]
    drift_sd_per_root_week: Float[Array, ""]
    mistaken_share: Float[Array, ""]
    mistaken_for: Int[Array, " n"]
    failure: Float[Array, " n"]
    calibration_days: int = eqx.field(static=True)


class LaboratoryWorld(AbstractWorld):
    """A world in which the target is a laboratory, and the other fidelities are as they would be anyway.

    Attributes:
        true: what faultless samples would measure.
        value: answers apart from what the day does to them.
        failed: queries that fail.
        by_day: what is added to an answer of the laboratory on each day; after the last one it stays.
        target: index of the laboratory.
    """

    true: Float[Array, "*worlds n"]
    value: Float[Array, "*worlds n L"]
    failed: Bool[Array, "*worlds n L"]
    by_day: Float[Array, "*worlds days"]
    target: int = eqx.field(static=True)

    def answer(
        self, candidate: Int[Array, " m"], fidelity: Int[Array, " m"], hours: Float[Array, ""]
    ) -> tuple[Float[Array, " m"], Bool[Array, " m"]]:
        """Return values in the property's unit, and which queries fail."""
        day = jnp.clip(hours // 24.0, 0, self.by_day.shape[-1] - 1).astype(jnp.int32)
        off = jnp.where(fidelity == self.target, self.by_day[day], 0.0)
        return self.value[candidate, fidelity] + off, self.failed[candidate, fidelity]

    def truth(self, target: int) -> Float[Array, " n"]:
        """Return what faultless samples would measure; NaN where none can be made."""
        return jnp.where(self.failed[:, target], jnp.nan, self.true)


class LaboratoryTwin(AbstractTwin):
    """Worlds drawn from a hidden truth's distribution, with a laboratory's faults.

    Attributes:
        truth: distribution of what the materials are.
        others: answers of the fidelities other than the target, whose column is unused.
        faults: of the laboratory.
        days: that are drawn.
    """

    truth: AbstractTruth
    others: Float[Array, "n L"]
    faults: Faults
    days: int = eqx.field(static=True)

    def draw(self, policy: Policy, state: State, count: int, key: PRNGKeyArray) -> LaboratoryWorld:
        """Return worlds stacked along the first axis; answers in hand stand as they are."""
        of_truth, of_rest = jax.random.split(key)
        true = self.truth.draw(count, of_truth)
        one = lambda true, key: self._world(policy.target, state, true, key)  # noqa: E731
        return jax.vmap(one)(true, jax.random.split(of_rest, count))

    def _world(self, target: int, state: State, true: Float[Array, " n"], key: PRNGKeyArray) -> LaboratoryWorld:
        of_noise, of_mistake, of_failure, of_days = jax.random.split(key, 4)
        faults, observed = self.faults, state.dataset.observed
        mistaken = jax.random.uniform(of_mistake, true.shape) < faults.mistaken_share
        measured = jnp.where(mistaken, true[faults.mistaken_for], true)
        measured = measured + faults.noise_sd * jax.random.normal(of_noise, true.shape)
        value = jnp.where(observed, state.dataset.value, self.others.at[:, target].set(measured))
        fails = jax.random.uniform(of_failure, true.shape) < faults.failure
        failed = jnp.zeros_like(observed).at[:, target].set(fails) & ~observed
        return LaboratoryWorld(true, value, failed, self._by_day(of_days), target)

    def _by_day(self, key: PRNGKeyArray) -> Float[Array, " days"]:
        of_batch, of_walk = jax.random.split(key)
        batch = self.faults.batch_sd * jax.random.normal(of_batch, (self.days,))
        steps = self.faults.drift_sd_per_root_week / 7.0**0.5 * jax.random.normal(of_walk, (self.days,))
        # The first day after a calibration has no drift yet; a period's walk begins anew.
        walk, day = jnp.cumsum(steps), jnp.arange(self.days)
        begun = day - day % self.faults.calibration_days
        return batch + walk - walk[begun]

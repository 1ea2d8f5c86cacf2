"""The simulated laboratory in a what-if study: what goes wrong in it, and worlds from its truths' distribution.

The faults are read off the campaign file. The seeds, and the truth that a laboratory hides, are never looked at: which
materials are hard to make, what happens to which sample and on which day is drawn anew in every world.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mfal.campaign.policy import Policy, State
from mfal.fidelity import Fidelity
from mfal.oracle import need_package
from mfal.space.pool import Pool
from mfal.types import Array, Float, PRNGKeyArray
from mfal.whatif.faults import Faults, no_faults
from mfal.whatif.twin import AbstractTwin
from mfal.whatif.world import Table
from physics.experiment.failures import Failures, Misweighed
from physics.experiment.gap import forms
from physics.experiment.laboratory import Instrument
from physics.experiment.truth import AbstractTruth
from physics.laboratory_truth import above_hull
from physics.simulated_laboratory import failures_of, instrument_of, line_of, nearest_lattices

# What the line has besides, and the worlds have not.
LEFT_OUT = "not in the worlds: furnace deviations, busy operators, queues; a sample made again costs what is expected"


class LaboratoryTwin(AbstractTwin):
    """Worlds from the distribution that hidden truths are drawn from; faults happen to them in a `FaultyTwin`.

    Attributes:
        truth: distribution of what the materials are.
        others: answers of the fidelities other than the target, whose column is unused.
    """

    truth: AbstractTruth
    others: Float[Array, "n L"]

    def draw(self, policy: Policy, state: State, count: int, key: PRNGKeyArray) -> Table:
        """Return worlds stacked along the first axis; answers in hand stand as they are."""
        of_truth, of_noise = jax.random.split(key)
        true = self.truth.draw(count, of_truth)
        mean = jnp.broadcast_to(self.others, (count, *self.others.shape)).at[:, :, policy.target].set(true)
        noise = jnp.sqrt(policy.noise_variance[policy.target]) * jax.random.normal(of_noise, true.shape)
        answers = mean.at[:, :, policy.target].add(noise)
        value = jnp.where(state.dataset.observed, state.dataset.value, answers)
        return Table(value, mean, jnp.zeros(value.shape, bool))


def faults(fidelity: Fidelity, pool: Pool) -> Faults:
    """Return what goes wrong in the laboratory that answers for a fidelity (entry point ``mfal.faults``).

    Raises:
        CampaignFileError: an option has a wrong value.
        MissingExtraError: pymatgen is not installed.
    """
    need_package("pymatgen", "mlip")
    found, instrument, attempts = failures_of(fidelity), instrument_of(fidelity), line_of(fidelity).attempts
    easy, hard = _failing(found)
    never = _never(fidelity, pool)
    index = {name: row for row, name in enumerate(pool.ids)}
    nearest = nearest_lattices(pool)
    shifts = _shifts(found)
    return no_faults(
        pool,
        batch_sd=jnp.asarray(found.batch.sd if found.batch else 0.0),
        drift_sd_per_root_week=jnp.asarray(found.drift.sd_per_root_week if found.drift else 0.0),
        standards_sd=jnp.asarray(_standards_sd(instrument)),
        mistaken_share=jnp.asarray(found.misassigned.probability if found.misassigned else 0.0),
        mistaken_for=jnp.array([index[nearest[name]] for name in pool.ids]),
        shift_share=jnp.array([share for share, _ in shifts]),
        shift_sd=jnp.array([sd for _, sd in shifts]),
        failure=never + (1.0 - never) * easy**attempts,
        hard_failure=never + (1.0 - never) * hard**attempts,
        hard_share=jnp.asarray(found.refused.share if found.refused else 0.0),
        **({"calibration_days": 7 * found.drift.recalibrated_every_weeks} if found.drift else {}),
        said=_said(fidelity, found, instrument, bool(jnp.any(never > 0.0))),
    )


def _never(fidelity: Fidelity, pool: Pool) -> Float[Array, " n"]:
    """Return the probability that a material does not form at all, over what chemical families may tolerate."""
    found = above_hull(pool, fidelity.options.get("truth", {}), f"fidelity {fidelity.name!r}")
    if found is None:
        return jnp.zeros(len(pool))
    keys = jax.random.split(jax.random.key(0), FAMILY_DRAWS)
    return 1.0 - jnp.mean(jax.vmap(lambda key: forms(*found, key)[0])(keys), axis=0)


# Of what each family tolerates; to a few percent.
FAMILY_DRAWS = 256


def _standards_sd(instrument: Instrument) -> float:
    return float(np.inf) if not instrument.standards else instrument.sd / instrument.standards**0.5


def _failing(found: Failures) -> tuple[float, float]:
    """Return the probability that one attempt fails, at an easy material and at a hard one."""
    dropped = found.dropped.probability if found.dropped else 0.0
    flagged = _flagged(found.misweighed) if found.misweighed else 0.0
    passed = (1.0 - dropped) ** STATIONS * (1.0 - flagged)
    refused = found.refused.probability if found.refused else 0.0
    return 1.0 - passed, 1.0 - passed * (1.0 - refused)


# At each of which a sample may be dropped.
STATIONS = 3


def _flagged(kind: Misweighed) -> float:
    """Return the share of the weighings that are beyond the tolerance."""
    from scipy.stats import norm

    return kind.probability * 2.0 * float(norm.sf(kind.tolerance / max(kind.share_sd, 1e-300)))


def _shifts(found: Failures) -> list[tuple[float, float]]:
    """Return share and standard deviation of each kind of shift that nobody notices."""
    shifts = []
    if found.contaminated:
        shifts.append((found.contaminated.probability, found.contaminated.shift_sd))
    if found.misweighed:
        shifts.append((found.misweighed.probability, found.misweighed.share_sd * found.misweighed.shift_per_share))
    return shifts


def _said(fidelity: Fidelity, found: Failures, instrument: Instrument, unmakable: bool) -> tuple[str, ...]:
    standards = f"{instrument.standards} standards a plate" if instrument.standards else "no standards"
    kinds: dict[str, Any] = {
        "batch": lambda kind: f"days off by {kind.sd:g} (standard deviation), with {standards}",
        "drift": lambda kind: f"drift of {kind.sd_per_root_week:g} a week until the next calibration, with {standards}",
        "misassigned": lambda kind: f"{kind.probability:.0%} of the answers about the material of the nearest lattice",
        "contaminated": lambda kind: f"{kind.probability:.0%} contaminated, shifted by {kind.shift_sd:g}",
        "misweighed": lambda kind: f"{kind.probability:.0%} weighed wrongly by {kind.share_sd:.1%}",
        "dropped": lambda kind: f"{kind.probability:.0%} dropped at each station",
        "refused": lambda kind: f"{kind.share:.0%} of the materials hard to make, drawn anew in every world",
    }
    said = [f"{fidelity.name}: {tell(kind)}" for name, tell in kinds.items() if (kind := getattr(found, name))]
    if unmakable:
        said.append(f"{fidelity.name}: materials above the hull that cannot be made, drawn anew in every world")
    return (*said, f"{fidelity.name}, {LEFT_OUT}") if said else ()

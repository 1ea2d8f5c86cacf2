"""Do no harm: what each source was worth, and whether multi-fidelity pays here at all.

A source is worth what it adds to the leave-one-out log predictive density of the target's answers (Rasmussen and
Williams 2006, sec. 5.4.2), against the surrogate that the campaign would have had without it. Only answers in hand
count, so the verdict needs no truth. Where the target is a replay, single-fidelity search is replayed as well, and
money decides.
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from mfal.baselines.single_fidelity import single_fidelity_order
from mfal.campaign.build import build_surrogate
from mfal.campaign.config import CampaignConfig
from mfal.campaign.record import paid_by_fidelity, recorded_observations
from mfal.dataset import EMPTY, FAILED, OBSERVED, Dataset
from mfal.fidelity import Ladder
from mfal.oracle import Observation
from mfal.report.judgement import Judgement, SourceWorth
from mfal.report.reading import Reading
from mfal.space.pool import Pool
from mfal.surrogate.base import AbstractBelief, AbstractSurrogate
from mfal.surrogate.diagnostics import leave_one_out, rows_at
from mfal.surrogate.joint import JointBelief
from mfal.surrogate.pool import ExactProcess
from mfal.surrogate.recursive import RecursiveGP
from mfal.surrogate.recursive_belief import RecursiveBelief
from mfal.surrogate.recursive_prior import Prior, default_prior
from mfal.types import Array, Float

# Nats from which evidence counts: 2 ln B = 2, "positive" (Kass and Raftery 1995, 10.1080/01621459.1995.10476572).
_POSITIVE = 1.0
# Target answers below which nothing can be said, and the share of the money below which a source costs next to nothing.
_ENOUGH, _NEGLIGIBLE = 3, 0.01
# Within a hundredth of each other two campaigns cost the same; answers this close to each other are the same.
_EVEN, _FLAT = 0.01, 1e-9
# Single-fidelity searches that are averaged: where it begins is chance.
_REPLICATES = 5

HELPS, NO_DIFFERENCE, DOES_NOT_PAY, UNKNOWN = "helps", "makes no difference", "does not pay here", "too early to tell"


def judge(reading: Reading) -> Judgement:
    """Return the worth of the sources of a campaign, and of multi-fidelity as a whole."""
    observations, ladder = recorded_observations(reading.events), reading.config.ladder
    answers = sum(o.fidelity == ladder.target and o.value is not None for o in observations)
    if reading.pool is None:
        return Judgement((), answers, None, None, None, "not judged: the candidates cannot be described here")
    others = [level for level in range(len(ladder)) if level != ladder.target_index]
    evidence = source_evidence(reading.config, reading.pool, observations) if others and answers >= _ENOUGH else None
    paid, total = paid_by_fidelity(observations), reading.summary.spent_eur
    sources = tuple(
        _source(ladder.names[level], None if evidence is None else evidence[0][row], paid, total)
        for row, level in enumerate(others)
    )
    nats = None if evidence is None else evidence[1]
    eur_single = _eur_single(reading, reading.pool)
    pays, verdict = _verdict(reading, nats, eur_single) if others else (None, "there is one source only")
    return Judgement(sources, answers, nats, eur_single, pays, verdict)


def source_evidence(
    config: CampaignConfig, pool: Pool, observations: Sequence[Observation]
) -> tuple[list[float], float] | None:
    """Return the evidence in nats for each source but the target, in the ladder's order, and for all together.

    None where the belief about the target has no closed form to leave an answer out of.
    """
    dataset, target = observed(config.ladder, pool, observations), config.ladder.target_index
    fidelities = len(config.fidelity)
    counts = np.asarray(jnp.sum(dataset.observed, axis=0))
    surrogate = build_surrogate(config, jnp.asarray(pool.features)).with_room([int(count) for count in counts])
    others = [level for level in range(fidelities) if level != target]
    everything = list(range(fidelities))
    kept = [everything, *[[level for level in everything if level != left] for left in others], [target]]
    priors = [_prior(surrogate, levels) for levels in kept]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *priors)
    # A source that always says the same says nothing, and its noise-free answers would drown the others in rounding.
    mute = [level != target and _is_constant(dataset, level) for level in everything]
    absent = jnp.array([[level not in levels or mute[level] for level in everything] for levels in kept])
    density = np.asarray(_densities(surrogate, stacked, dataset, absent, target))
    if not np.isfinite(density).all():
        return None
    return [float(density[0] - one) for one in density[1:-1]], float(density[0] - density[-1])


def observed(ladder: Ladder, pool: Pool, observations: Sequence[Observation]) -> Dataset:
    """Return the answers in hand as tables."""
    status = np.full((len(pool), len(ladder)), EMPTY, dtype=np.int8)
    value, noise_variance = np.zeros(status.shape), np.zeros(status.shape)
    for o in observations:
        at = pool.index(o.candidate), ladder.index(o.fidelity)
        status[at] = FAILED if o.value is None else OBSERVED
        value[at] = o.value or 0.0
        noise_variance[at] = ladder[o.fidelity].sd_of(o.noise_sd) ** 2
    return Dataset(jnp.asarray(status), jnp.asarray(value), jnp.asarray(noise_variance))


def _is_constant(dataset: Dataset, level: int) -> bool:
    value = np.asarray(dataset.value[:, level])[np.asarray(dataset.observed[:, level])]
    return bool(value.size and np.ptp(value) <= _FLAT * (1.0 + np.abs(value).max()))


def _source(name: str, nats: float | None, paid: dict[str, float], total: float) -> SourceWorth:
    paid_eur = paid.get(name, 0.0)
    if nats is None:
        return SourceWorth(name, None, paid_eur, UNKNOWN)
    verdict = HELPS if nats >= _POSITIVE else NO_DIFFERENCE
    if nats <= -_POSITIVE or (nats < _POSITIVE and paid_eur > _NEGLIGIBLE * total):
        verdict = DOES_NOT_PAY
    return SourceWorth(name, nats, paid_eur, verdict)


def _verdict(reading: Reading, nats: float | None, eur_single: float | None) -> tuple[bool | None, str]:
    spent, score = reading.summary.spent_eur, reading.summary.score
    if score is not None and score.needed > 0:
        if eur_single is None:
            return True, "multi-fidelity pays here: single-fidelity search does not get as far"
        pays = eur_single > (1.0 + _EVEN) * spent
        text = "pays" if pays else "does not pay"
        return pays, f"multi-fidelity {text} here: single-fidelity search gets as far for EUR {eur_single:,.0f}"
    if nats is None:
        return None, "too few target answers to tell whether multi-fidelity pays here"
    if nats < _POSITIVE:
        return False, "multi-fidelity does not pay here: the other sources do not help to foretell the target"
    return True, "the other sources help to foretell the target"


def _eur_single(reading: Reading, pool: Pool) -> float | None:
    score = reading.summary.score
    if score is None or reading.truth is None or score.needed == 0:
        return None
    orders = [
        single_fidelity_order(reading.config, pool, reading.truth, score.as_good, score.needed, replicate)
        for replicate in range(_REPLICATES)
    ]
    if any(len(score.as_good & set(order)) < score.needed for order in orders):
        return None
    ladder = reading.config.ladder
    return float(np.mean([len(order) for order in orders])) * ladder[ladder.target].price_eur


def _prior(surrogate: AbstractSurrogate, levels: list[int]) -> Prior | Float[Array, ""]:
    """Return the prior that a ladder of these levels alone would have had, in the places of the full one."""
    if not isinstance(surrogate, RecursiveGP):
        # The joint process has its sources side by side: leaving one out is to have no answer of it.
        return jnp.zeros(())
    full, at, features = surrogate.prior, np.array(levels), surrogate.features.shape[1]
    part = default_prior(full.typical_value[at], full.typical_spread[at], features)
    grid = np.ix_(at, at)
    put = lambda prior: (  # noqa: E731
        prior.mean.log_amplitude, prior.mean.log_individual, prior.sd.log_amplitude, prior.sd.log_individual,
        prior.level_sd,
    )  # fmt: skip
    rows = [old.at[at].set(new) for old, new in zip(put(full), put(part), strict=True)]
    slopes = [full.slope_mean.at[grid].set(part.slope_mean), full.slope_sd.at[grid].set(part.slope_sd)]
    return eqx.tree_at(lambda prior: (*put(prior), prior.slope_mean, prior.slope_sd), full, (*rows, *slopes))


@eqx.filter_jit
def _densities(
    surrogate: AbstractSurrogate, priors: Prior | Float[Array, " k"], dataset: Dataset, absent: Array, target: int
) -> Float[Array, " k"]:
    """Return the leave-one-out log density of the target's answers with some sources absent, each fitted on its own."""

    def density(case: tuple[Prior | Array, Array]) -> Float[Array, ""]:
        prior, without = case
        # A source that has failed throughout is one that the surrogate leaves out.
        status = jnp.where(without, FAILED, dataset.status).astype(dataset.status.dtype)
        data = Dataset(status, dataset.value, dataset.noise_variance)
        placed = surrogate
        if isinstance(prior, Prior):
            placed = eqx.tree_at(lambda s: (s.prior, s.parameters), surrogate, (prior, prior.mean))
        return _log_density(placed.fit(data, jnp.ones(data.status.shape[1], dtype=bool)).condition(data), target)

    return jax.lax.map(density, (priors, absent))


def _log_density(belief: AbstractBelief, target: int) -> Float[Array, ""]:
    if isinstance(belief, JointBelief):
        foretold = leave_one_out(belief.process)
        return jnp.sum(foretold.only(rows_at(belief.process, target, belief.mean.shape[1])).log_density)
    assert isinstance(belief, RecursiveBelief)
    process = belief.levels[target]
    if not isinstance(process, ExactProcess):
        return jnp.asarray(jnp.nan)
    return jnp.sum(leave_one_out(process).log_density)

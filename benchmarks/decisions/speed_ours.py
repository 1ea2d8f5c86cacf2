"""What one decision costs us, between refits and with one, beside BoTorch in the same run.

The pool has 15 features and two fidelities at EUR 1 and 300; a batch is eight queries, chosen one after the other. What
is compared with BoTorch's entropy pays for eight passes of it with nothing pending, which is less than stock BoTorch
needs: there, what is chosen already is fantasised. XLA uses all cores; torch is given whatever is faster.
"""

from dataclasses import dataclass
from statistics import median
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.decisions.curves import Known
from benchmarks.decisions.modelling import dataset_of, known_of, policy_of, surrogate_of
from benchmarks.decisions.speed import PeerDecision, botorch_decision, campaign, timed
from benchmarks.decisions.tasks import Task
from mfal.acquisition.base import AbstractAcquisition
from mfal.acquisition.base import Known as Measured
from mfal.acquisition.best_value import BestValue
from mfal.acquisition.entropy import MaxValueEntropy
from mfal.acquisition.maxima import GumbelMaxima
from mfal.acquisition.window_value import WindowValue
from mfal.campaign.policy import Policy, State, known_targets, propose
from mfal.surrogate.base import AbstractBelief, AbstractSurrogate, Posterior
from mfal.types import Array

BATCH, FEATURES, DEAR = 8, 15, 300
# Pools with the cheap answers in hand. The first is small enough for BoTorch to score all of it.
CHEAP = {10_000: 2_000, 100_000: 10_000}
ON_ACCELERATOR = {1_000_000: 10_000}
SMOKE_CHEAP, SMOKE_DEAR = {300: 60}, 20
REPEATS = 3

_fit = eqx.filter_jit(lambda surrogate, dataset: surrogate.fit(dataset, jnp.ones(dataset.status.shape[1], bool)))
_condition = eqx.filter_jit(lambda surrogate, dataset: surrogate.condition(dataset))
_extend = eqx.filter_jit(lambda surrogate, belief, dataset, fresh: surrogate.extend(belief, dataset, fresh))
_propose = eqx.filter_jit(propose)


@dataclass(frozen=True)
class OurSeconds:
    """Wall time of the parts of one decision, compiled, in s.

    Attributes:
        fit: hyper-parameters of all fidelities.
        condition: the belief from the answers.
        decision: a whole batch by each acquisition, from the cached belief.
        pick: one pass over the pool by each acquisition.
        extend: to take up the answers of a batch.
        first: (candidate, fidelity) that each acquisition asks first.
    """

    fit: float
    condition: float
    decision: dict[str, float]
    pick: dict[str, float]
    extend: float
    first: dict[str, tuple[int, int]]


def measure_speed(smoke: bool) -> dict[str, Any]:
    """Return decision times at every pool, BoTorch's beside them, and what our first pick is worth to BoTorch."""
    figures: dict[str, Any] = {}
    for pool, cheap in _pools(smoke).items():
        task, known = campaign(pool, cheap, SMOKE_DEAR if smoke else DEAR, FEATURES)
        ours, at = our_decision(task, known), f"{pool:.0e}".replace("+0", "")
        figures |= _our_figures(ours, at)
        if pool not in ON_ACCELERATOR:
            # BoTorch scores all of the smaller pool, to say what our choice is worth.
            theirs = botorch_decision(task, known, whole=pool == min(_pools(smoke)))
            figures |= _peer_figures(task, ours, theirs, at)
    return figures


def our_decision(task: Task, known: Known) -> OurSeconds:
    """Time the parts of our decision after the `known` answers."""
    dataset, start = dataset_of(known), _surrogate(task, known)
    fit, surrogate = _repeated(_fit, start, dataset)
    condition, belief = _repeated(_condition, surrogate, dataset)
    none = jnp.zeros(len(task.price_eur), jnp.int32)
    state = State(surrogate, belief, dataset, jnp.zeros(()), none, none)
    decision, pick, first, proposal = {}, {}, {}, None
    for name, acquisition in _acquisitions(task, known).items():
        policy, key = _policy(task, acquisition), jax.random.key(0)
        decision[name], proposal = _repeated(_propose, policy, state, key)
        if int(proposal.count) < BATCH:
            raise RuntimeError(
                f"{name} found only {int(proposal.count)} of {BATCH} queries that pay: not a whole batch"
            )
        pick[name] = _repeated(_pass, policy, state, key)[0]
        first[name] = int(proposal.candidate[0]), int(proposal.fidelity[0])
    assert proposal is not None
    fresh = np.zeros_like(known.observed)
    fresh[np.asarray(proposal.candidate), np.asarray(proposal.fidelity)] = True
    grown = dataset_of(known_of(task, known.observed | fresh))
    extend, _ = _repeated(_extend, surrogate, belief, grown, jnp.asarray(fresh))
    return OurSeconds(fit, condition, decision, pick, extend, first)


def _our_figures(ours: OurSeconds, at: str) -> dict[str, Any]:
    refit = ours.fit + ours.condition
    return {
        f"decision_s_{at}": round(ours.decision["best"], 3),
        f"decision_with_refit_s_{at}": round(refit + ours.decision["best"], 3),
        f"decision_entropy_s_{at}": round(ours.decision["entropy"], 3),
        f"decision_window_s_{at}": round(ours.decision["window"], 3),
        f"pick_s_{at}": round(ours.pick["best"], 3),
        f"extend_s_{at}": round(ours.extend, 3),
    }


def _peer_figures(task: Task, ours: OurSeconds, theirs: PeerDecision, at: str) -> dict[str, Any]:
    batch, refit = theirs.greedy(BATCH), ours.fit + ours.condition
    cheaper = min(theirs.improvement_pass, theirs.entropy_pass)
    figures = {
        f"botorch_decision_s_{at}": round(batch, 1),
        f"botorch_stock_decision_s_{at}": round(theirs.stock_greedy(BATCH), 1),
        f"botorch_fit_s_{at}": round(theirs.fit, 1),
        f"botorch_improvement_s_{at}": round(theirs.improvement_pass, 2),
        f"botorch_pass_sampled_{at}": theirs.sampled,
        f"botorch_threads_{at}": theirs.threads,
        f"speedup_{at}": round(batch / ours.decision["best"], 1),
        f"speedup_entropy_{at}": round(batch / ours.decision["entropy"], 1),
        f"speedup_{at}_with_refit": round((theirs.fit + batch) / (refit + ours.decision["best"]), 1),
        f"speedup_single_pass_{at}": round(cheaper / ours.pick["best"], 1),
        f"speedup_window_{at}": round(theirs.improvement_pass / ours.decision["window"], 1),
    }
    if not theirs.sampled:
        best = float(theirs.entropy.max())
        figures["chosen_value_ratio"] = round(float(theirs.entropy[_choice_on_their_model(task, theirs)]) / best, 3)
    return figures


def _choice_on_their_model(task: Task, theirs: PeerDecision) -> tuple[int, int]:
    """Return the query with the most information per EUR by our entropy, where BoTorch's model is the belief.

    With each its own model the two acquisitions are not about the same thing, and neither can judge the other's choice.
    """
    mean, deviation, correlation = (jnp.asarray(part) for part in theirs.moments)
    # The entropy reads the target and what each fidelity shares with it; merit is high where it is good.
    own = deviation[:, None, None] ** 2 * correlation[:, :, None] * correlation[:, None, :]
    own = own.at[:, jnp.arange(own.shape[1]), jnp.arange(own.shape[1])].set(deviation[:, None] ** 2)
    belief = _Given(jnp.repeat(mean[:, None], own.shape[1], axis=1), own)
    entropy = MaxValueEntropy(jnp.full(own.shape[1], theirs.noise), jnp.asarray(-1.0), GumbelMaxima(), task.target)
    unmeasured = Measured(*(jnp.zeros(len(mean), kind) for kind in (bool, float, bool)))
    gain = np.asarray(entropy(Posterior.of(belief, 1), unmeasured, jax.random.key(0)).gain) / np.array(task.price_eur)
    gain = np.where(np.isfinite(theirs.entropy), gain, -np.inf)
    candidate, fidelity = np.unravel_index(gain.argmax(), gain.shape)
    return int(candidate), int(fidelity)


class _Given(AbstractBelief):
    """A belief that knows its marginals only."""

    mean: Array
    own: Array

    def level_covariance(self):
        """Return that the levels are known."""
        return jnp.zeros_like(self.own), jnp.zeros(self.own.shape[1])

    def combination(self, candidates, fidelity, weights):
        """Refuse."""
        raise NotImplementedError

    def block(self, candidates, fidelity):
        """Refuse."""
        raise NotImplementedError

    def draws(self, count, fidelity, key):
        """Refuse."""
        raise NotImplementedError

    def links(self):
        """Refuse."""
        raise NotImplementedError


def _pools(smoke: bool) -> dict[int, int]:
    return SMOKE_CHEAP if smoke else CHEAP | (ON_ACCELERATOR if jax.default_backend() == "gpu" else {})


@eqx.filter_jit
def _pass(policy: Policy, state: State, key):
    known = known_targets(policy, state.dataset)
    return policy.acquisition(Posterior.of(state.belief, policy.foreseen), known, key)


def _repeated(work, *arguments) -> tuple[float, Any]:
    """Return the median time of a call once compiled, and its result."""
    result = jax.block_until_ready(work(*arguments))
    return median(timed(lambda: jax.block_until_ready(work(*arguments)))[0] for _ in range(REPEATS)), result


def _surrogate(task: Task, known: Known) -> AbstractSurrogate:
    surrogate = surrogate_of(task, known, nonlinear=False)
    return surrogate.with_room([int(count) + BATCH for count in known.observed.sum(axis=0)])


def _acquisitions(task: Task, known: Known) -> dict[str, AbstractAcquisition]:
    """Return the worth of the best, of a window, and the entropy that BoTorch uses too."""
    price, noise, sign = jnp.asarray(task.price_eur[-1]), jnp.zeros(len(task.price_eur)), jnp.asarray(task.sign)
    low, high = (jnp.asarray(edge) for edge in np.nanquantile(known.values[:, task.target], [0.05, 0.15]))
    return {
        "best": BestValue(10.0 * price, price, noise, sign, jnp.asarray(jnp.inf), task.target, 10),
        "window": WindowValue(10.0 * price, price, noise, low, high, jnp.asarray(jnp.inf), task.target),
        "entropy": MaxValueEntropy(noise, sign, GumbelMaxima(), task.target),
    }


def _policy(task: Task, acquisition: AbstractAcquisition) -> Policy:
    """Return rules without bulk: every query of the batch is chosen knowing those before it."""
    return policy_of(task, acquisition, np.full(len(task.price_eur), BATCH), BATCH, foreseen=BATCH)

"""What a corrected answer changes: the data, the account, and what was learnt from them."""

import equinox as eqx
import jax.numpy as jnp

from mfal.batching import replaced_if
from mfal.campaign.policy import Policy, State
from mfal.dataset import Answers, correct
from mfal.types import Array, Int


def amend(policy: Policy, state: State, answers: Answers, failures: Int[Array, " L"]) -> State:
    """Return the state as newer answers make it, its hyper-parameters fitted again where they had seen the old ones.

    Args:
        policy: rules of the campaign.
        state: with earlier answers to the same queries.
        answers: the newer ones; their prices are what is paid beyond the earlier ones.
        failures: in a row at each fidelity, now that the newer answers stand in the place of the earlier ones.
    """
    dataset = correct(state.dataset, answers)
    observed = jnp.sum(dataset.observed, axis=0, dtype=jnp.int32)
    touched = jnp.zeros(policy.limit.shape[0], bool).at[answers.fidelity].max(answers.valid) & (observed > 0)
    surrogate = replaced_if(touched.any(), lambda: state.surrogate.fit(dataset, touched), state.surrogate)
    return eqx.tree_at(
        lambda s: (s.surrogate, s.belief, s.dataset, s.spent_eur, s.fitted_at, s.failures),
        state,
        (
            surrogate,
            surrogate.condition(dataset),
            dataset,
            state.spent_eur + jnp.sum(jnp.where(answers.valid, answers.price_eur, 0.0)),
            jnp.where(touched, observed, state.fitted_at),
            failures,
        ),
    )

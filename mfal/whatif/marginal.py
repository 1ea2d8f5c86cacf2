"""The value of one more EUR at each fidelity, spent now.

The simulated campaigns begin with some queries already committed, and with their price on top of the budget. Compared
with the same campaigns without, in the same worlds, that is what the money brings if it is earmarked for a fidelity.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from mfal.campaign.policy import Policy, commit, known_targets
from mfal.dataset import FAILED
from mfal.surrogate.base import Posterior
from mfal.whatif.paired import paired
from mfal.whatif.scenario import with_budget
from mfal.whatif.setting import EARMARKED, Setting
from mfal.whatif.simulate import Flights, Start

# The row of money that the policy may spend as it likes.
FREE = "any"


def marginal(setting: Setting) -> pd.DataFrame:
    """Return what one more EUR brings at each fidelity, a row a fidelity, and one (`FREE`) for money without earmark.

    As much is added as one measurement at the target costs, or what a fidelity can take up. It pays for the candidates
    ranked best now, with the queries that these require first. A fidelity that can take up nothing has NaN.

    Returns:
        Columns queries: added, those required included; eur: their price; more_hits: mean difference; value_eur: mean
        difference in what the outcome is worth; per_eur: the same for each EUR added; se_per_eur: its standard error.
    """
    amount = float(setting.policy.price_eur[setting.policy.target])
    rows = {name: _earmarked(setting, level, amount) for level, name in enumerate(setting.names)}
    rows[FREE] = _row(setting, setting.start, 0, amount)
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("fidelity")


def _earmarked(setting: Setting, level: int, amount_eur: float) -> dict[str, float]:
    candidate, fidelity = package(setting.policy, setting.start, level, amount_eur)
    eur = float(np.sum(np.asarray(setting.policy.price_eur)[fidelity]))
    return _row(setting, committed(setting.policy, setting.start, candidate, fidelity), len(candidate), eur)


def _row(setting: Setting, start: Start, queries: int, eur: float) -> dict[str, float]:
    if eur == 0.0:
        return {"queries": queries, "eur": 0.0} | dict.fromkeys(
            ("more_hits", "value_eur", "per_eur", "se_per_eur"), np.nan
        )
    policy = with_budget(setting.policy, float(setting.policy.budget_eur) + eur)
    outcomes = setting.run(policy, start, setting.worlds)
    ends = [np.asarray(column)[:, -1] for column in (outcomes.hits, outcomes.best)]
    ends_base = [np.asarray(column)[:, -1] for column in (setting.base.hits, setting.base.best)]
    value, error = paired(setting.value.gross(*ends), setting.value.gross(*ends_base))
    hits = paired(ends[0], ends_base[0])[0]
    return {"queries": queries, "eur": eur, "more_hits": hits, "value_eur": value, "per_eur": value / eur,
            "se_per_eur": error / eur}  # fmt: skip


def package(policy: Policy, start: Start, level: int, amount_eur: float) -> tuple[np.ndarray, np.ndarray]:
    """Return candidates and fidelities of the queries that an amount pays for at a fidelity now, best-ranked first.

    What a query still waits for is asked and paid with it. At least one query is returned if any can be asked, and at
    most `EARMARKED`; they may be more than the fidelity has slots.

    Args:
        policy: ranks the candidates by the gain of the query.
        start: of the campaigns.
        level: index of the fidelity.
        amount_eur: to be spent.
    """
    state, price = start.state, np.asarray(policy.price_eur)
    status, needed = np.asarray(state.dataset.status), _needed(policy, level)
    asked = status != 0
    hopeless = np.any((status == FAILED) & np.asarray(policy.requires)[level], axis=1)
    possible = ~asked[:, level] & ~hopeless & ~np.any(np.asarray(state.dataset.pending), axis=1)
    gain = np.asarray(_gain(policy, start))[:, level]
    left = np.asarray(policy.limit)[level] - asked[:, level].sum()
    queries: list[tuple[int, int]] = []
    spent = 0.0
    for candidate in np.argsort(np.where(possible, -gain, np.inf), kind="stable")[: max(0, min(possible.sum(), left))]:
        levels = [int(other) for other in np.flatnonzero(needed) if not asked[candidate, other]] + [level]
        spent += float(np.sum(price[np.array(levels)]))
        if len(queries) + len(levels) > EARMARKED or (queries and spent > amount_eur + 1e-9):
            break
        queries += [(int(candidate), int(other)) for other in levels]
    columns = np.array(queries, dtype=np.int32).reshape(-1, 2)
    return columns[:, 0], columns[:, 1]


def committed(policy: Policy, start: Start, candidate: np.ndarray, fidelity: np.ndarray) -> Start:
    """Return the start with these queries in flight."""
    size, count = len(start.flights.used), len(candidate)
    rows, levels = (jnp.asarray(np.pad(column, (0, size - count)).astype(np.int32)) for column in (candidate, fidelity))
    state = _commit(policy, start.state, rows, levels, jnp.asarray(count))
    used, now = np.asarray(start.flights.used), start.flights
    at = int(used.sum()) + np.arange(count)
    due = float(start.hours) + np.asarray(policy.latency_hours)[fidelity]
    flights = Flights(
        now.candidate.at[at].set(candidate), now.fidelity.at[at].set(fidelity), now.due_hours.at[at].set(due),
        now.used.at[at].set(True),
    )  # fmt: skip
    return Start(state, flights, start.hours, start.decisions)


_commit = eqx.filter_jit(commit)


@eqx.filter_jit
def _gain(policy: Policy, start: Start):
    posterior, known = Posterior.of(start.state.belief, 1), known_targets(policy, start.state.dataset)
    return policy.acquisition(posterior, known, jax.random.key(0)).gain


def _needed(policy: Policy, level: int) -> np.ndarray:
    """Return the fidelities that one waits for, directly or through others."""
    waits = np.asarray(policy.requires | policy.follows)
    needed = waits[level].copy()
    for _ in range(len(needed)):
        needed |= waits[needed].any(axis=0)
    return needed

"""Queries in flight that no longer pay: which ones, and that taking them back loses nothing."""

import equinox as eqx
import jax
import numpy as np
import pytest
from scipy.stats import norm

from mfal.campaign import history
from mfal.campaign.build import recorded_rules
from mfal.campaign.loop import Campaign
from mfal.campaign.withdrawal import no_longer_paying
from mfal.dataset import EMPTY, PENDING
from mfal.ledger import EventKind, read_events
from tests import synthetic
from tests.mfal.campaign.worlds import covariance, propose, rules, state

LOW, HIGH = 0, 1
_unpaying = eqx.filter_jit(no_longer_paying)


def unpaying(policy, now):
    found = np.asarray(_unpaying(policy, now, jax.random.key(0)))
    return [(int(i), int(level)) for i, level in np.argwhere(found)]


def test_what_pays_no_longer_is_named():
    """P(hit) has come down to 0.2: a measurement of EUR 250 for a hit of EUR 1000 is not worth it."""
    mean = np.column_stack([np.zeros(2), norm.ppf([0.2, 0.4])])
    policy = rules([1e9, 250.0])
    for pending, expected in ([(0, HIGH), (1, HIGH)], [(0, HIGH)]), ([(1, HIGH)], []), ([], []):
        assert unpaying(policy, state(mean, covariance([np.eye(2)] * 2), pending)) == expected


@pytest.mark.parametrize("seed", range(10))
def test_exactly_those_are_named_that_would_not_be_asked(seed):
    rng, n = np.random.default_rng(seed), 12
    mean = np.column_stack([np.zeros(n), norm.ppf(rng.uniform(0.05, 0.6, n))])
    cells = [np.array([[1.0, r], [r, 1.0]]) for r in rng.uniform(0.0, 0.99, n)]
    policy = rules([20.0, 250.0], capacity=[12, 12])
    pending = [(i, int(rng.integers(2))) for i in range(n)]
    named = set(unpaying(policy, state(mean, covariance(cells), pending)))
    asked, proposal = propose(policy, state(mean, covariance(cells)))
    gain = {query: float(proposal.gain[row]) for row, query in enumerate(asked)}
    price = {LOW: 20.0, HIGH: 250.0}
    for query in pending:  # who is asked now is worth waiting for; at the target the gain is known by hand
        assert not (query in gain and query in named)
        if query[1] == HIGH:
            assert (query in named) == (1000.0 * norm.cdf(mean[query]) <= price[HIGH])


def test_what_enables_a_paying_measurement_is_worth_waiting_for():
    mean = np.column_stack([np.zeros(2), norm.ppf([0.2, 0.9])])
    requires = [[False, False], [True, False]]
    policy = rules([20.0, 250.0], requires=requires)
    now = state(mean, covariance([np.eye(2)] * 2), [(0, LOW), (1, LOW)])
    assert unpaying(policy, now) == [(0, LOW)], "LOW says nothing; of the second one it opens the door"


@pytest.mark.slow
def test_a_live_campaign_takes_queries_back_and_goes_on(tmp_path, monkeypatch):
    """The policy's verdict is forced here: at five decisions with something in flight, nothing of it is wanted."""
    synthetic.register()
    verdicts = iter(range(5))
    unwanted = lambda _, progress: [f.query for f in progress.flights] if next(verdicts, None) else []  # noqa: E731
    monkeypatch.setattr(history, "not_worth_waiting_for", unwanted)
    campaign = Campaign.start(synthetic.in_background(seconds=0.3, stagger=3, clock="wall"), tmp_path)
    progress = campaign.run(lambda _: None)
    campaign.close()
    events = read_events(tmp_path)
    gone = [key for event in events if event.kind == EventKind.WITHDRAWAL for key in event.payload["queries"]]
    assert gone
    answered = [o.key for o in progress.observations]
    assert len(answered) == len(set(answered))
    _, built = recorded_rules(events[0].payload)
    again = history.fold(built, events, check=True)
    assert history.digest(again.state) == history.digest(progress.state)
    assert float(progress.state.spent_eur) == pytest.approx(sum(o.price_eur for o in progress.observations))


def test_a_query_taken_back_is_open_again(tmp_path):
    synthetic.register()
    campaign = Campaign.start(synthetic.config(), tmp_path)
    built, progress = campaign.rules, campaign.progress
    campaign.close()
    progress = history.after_decision(built, progress, history.decide(built, progress))
    flight = progress.flights[0].query
    at = built.pool.index(flight.candidate), built.ladder.index(flight.fidelity)
    assert progress.state.dataset.status[at] == PENDING
    back = history.after_withdrawal(built, progress, {"queries": [flight.key]})
    assert back.state.dataset.status[at] == EMPTY
    assert [f.query.key for f in back.flights] == [f.query.key for f in progress.flights[1:]]

"""Parts of the what-if benchmark that can be wrong without being seen: ranks, intervals, replays."""

import jax.numpy as jnp
import numpy as np
from scipy.stats import binomtest, kstest

from benchmarks.decisions.synthetic import synthetic
from benchmarks.whatif.coverage import Plan, _rank, _summary, binomial_interval, draw_replay
from benchmarks.whatif.tasks import TARGET, timed_campaign


def test_a_draw_from_the_prediction_has_a_uniform_rank():
    rng = np.random.default_rng(0)
    draws = rng.binomial(4, 0.5, size=(3000, 40))
    ranks = [_rank(row[1:], row[0], rng) for row in draws]
    assert kstest(ranks, "uniform").pvalue > 1e-3


def test_interval_of_a_share():
    for inside in (0, 130, 200):
        exact = binomtest(inside, 200).proportion_ci(0.95, "exact")
        np.testing.assert_allclose(binomial_interval(inside, 200), exact, atol=6e-4)


def test_summary_counts_what_lies_inside():
    ranks = np.column_stack([np.linspace(0.0005, 0.9995, 1000), np.full(1000, 0.95)])
    figures = _summary("x", ranks)
    shares = [figures[f"band{level}_coverage_x"] for level in (50, 80, 95)]
    np.testing.assert_allclose(shares, [0.5, 0.8, 0.95], atol=3e-3)
    assert figures["band80_coverage_x_regret"] == 0.0 and figures["rank_mean_x"] == 0.5


def test_a_replay_is_screened_and_measured_in_part():
    task, plan = synthetic("branin", 0.0, 100.0), Plan(40, (5, 9), (3, 6))
    replay = draw_replay(task, plan, 1)
    observed = np.asarray(replay.dataset.observed)
    assert observed.shape == (40, 2) and observed[:, 0].all() and 5 <= observed[:, 1].sum() <= 9
    np.testing.assert_array_equal(np.asarray(replay.dataset.value)[observed], np.asarray(replay.values)[observed])
    assert 3 * task.price_eur[-1] <= float(replay.budget_eur) <= 6 * task.price_eur[-1]


def test_the_timed_campaign_asks_in_order():
    policy, state = timed_campaign(20, 1)
    assert policy.target == TARGET == 2 and state.dataset.status.shape == (20, 3)
    np.testing.assert_array_equal(policy.requires, jnp.eye(3, k=-1, dtype=bool))

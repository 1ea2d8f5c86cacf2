"""Studies: worlds are drawn from the belief, outcomes are counted right, and what tells nothing is refused."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mfal.campaign.build import build_rules
from mfal.campaign.goal import Goal, goal
from mfal.dataset import FAILED, OBSERVED
from mfal.errors import StudyError
from mfal.whatif import spread
from mfal.whatif.bands import chances, hits_by_budget, hits_by_hour
from mfal.whatif.simulate import first_moment
from mfal.whatif.study import Outcomes, aim, study
from mfal.whatif.twin import draw_worlds, failure_rates
from tests import synthetic

DRAWS = 4000


@pytest.fixture(scope="module")
def rules():
    return build_rules(synthetic.config())


def known(rules):
    """Return the first state with a few answers and failures in it, and the belief that goes with them."""
    dataset, truth = rules.first.dataset, synthetic.truth()
    status = np.asarray(dataset.status).copy()
    status[:10, 0], status[:4, 1], status[:2, 2], status[4, 1] = OBSERVED, OBSERVED, OBSERVED, FAILED
    value = np.where(status == OBSERVED, truth, 0.0)
    dataset = eqx.tree_at(lambda d: (d.status, d.value), dataset, (jnp.asarray(status), jnp.asarray(value)))
    belief = eqx.filter_jit(lambda s, d: s.condition(d))(rules.first.surrogate, dataset)
    return eqx.tree_at(lambda s: (s.dataset, s.belief), rules.first, (dataset, belief))


def test_worlds_have_the_moments_of_the_belief(rules):
    state = known(rules)
    worlds = jax.tree.map(np.asarray, draw_worlds(rules.policy, state, DRAWS, jax.random.key(0)))
    mean, own = np.asarray(state.belief.mean), np.asarray(state.belief.own)
    sd = np.sqrt(np.diagonal(own, axis1=1, axis2=2))
    assert np.all(np.abs(worlds.mean.mean(axis=0) - mean) <= 4.5 * sd / np.sqrt(DRAWS) + 1e-6)
    deviation = worlds.mean - worlds.mean.mean(axis=0)
    shared = np.einsum("cnl,cnm->nlm", deviation, deviation) / DRAWS
    # Slopes on answers still missing are held at their mean, so that the spread falls a little short there.
    close = np.abs(shared - own) <= 0.25 * sd[:, :, None] * sd[:, None, :] + 1e-6
    assert close.mean() > 0.95
    observed = np.asarray(state.dataset.observed)
    np.testing.assert_array_equal(worlds.value[0][observed], np.asarray(state.dataset.value)[observed])
    noise = (worlds.value - worlds.mean)[:, ~observed[:, 2], 2]
    assert noise.std() == pytest.approx(0.02, rel=0.02)


def test_queries_fail_as_often_as_they_have(rules):
    state = known(rules)
    np.testing.assert_allclose(failure_rates(state), [0.0, 0.2, 0.0])
    worlds = draw_worlds(rules.policy, state, DRAWS, jax.random.key(1))
    failed = np.asarray(worlds.failed)
    assert failed[:, 4, 1].all() and not failed[:, :, 0].any()
    assert failed[:, 5:, 1].mean() == pytest.approx(0.2, abs=0.01)


def test_what_is_looked_for_follows_from_the_question():
    truth = jnp.array([0.3, -1.0, jnp.nan, 0.1, 2.0])
    np.testing.assert_array_equal(aim(truth, None, 2, 1.0).hits, [False, True, False, True, False])
    np.testing.assert_array_equal(aim(truth, None, 2, -1.0).hits, [True, False, False, False, True])
    np.testing.assert_array_equal(aim(truth, (0.0, 0.5), None, 1.0).hits, [True, False, False, True, False])
    np.testing.assert_array_equal(aim(truth, None, None, 1.0).hits, [False, True, False, False, False])
    assert float(aim(truth, None, 2, 1.0).merit[2]) == np.inf


def by_hand():
    """Two campaigns of three steps."""
    spent, hours = jnp.array([[10.0, 20.0, 20.0], [10.0, 30.0, 40.0]]), jnp.array([[1.0, 2.0, 2.0], [1.0, 3.0, 9.0]])
    hits, stopped = jnp.array([[0, 1, 1], [1, 1, 3]]), jnp.array([[False, False, True], [False, False, False]])
    return Outcomes(spent, hours, hits, -1.0 * hits, jnp.zeros((2, 3, 2), int), stopped, jnp.zeros(2))


def test_outcomes_are_counted_at_the_money_and_the_time_asked_for():
    budgets = np.array([5.0, 10.0, 25.0, 40.0])
    table = hits_by_budget(by_hand(), budgets)
    np.testing.assert_allclose(table["mean"], [0.0, 0.5, 1.0, 2.0])
    np.testing.assert_allclose(table["high_95"], [0, 1, 1, 3])
    np.testing.assert_allclose(hits_by_hour(by_hand(), np.array([2.0, 9.0]))["mean"], [1.0, 2.0])
    np.testing.assert_allclose(chances(by_hand(), budgets)[1], [0.0, 0.5, 1.0, 1.0])
    np.testing.assert_allclose(chances(by_hand(), budgets)[3], [0.0, 0.0, 0.0, 0.5])
    assert by_hand().finished == 0.5


@pytest.mark.slow
def test_a_study_spends_within_the_budget_and_repeats_itself(rules, monkeypatch, tmp_path):
    monkeypatch.setattr(spread, "ON_PROCESSOR", 4)
    monkeypatch.setattr(spread, "LOTS", 1)
    start, done = first_moment(rules.policy, rules.first), []
    first = study(rules.policy, start, goal(synthetic.config()), 6, 30, 0, done.append)
    again = study(rules.policy, start, goal(synthetic.config()), 6, 30, 0, folder=tmp_path)
    jax.tree.map(np.testing.assert_array_equal, first, again)
    assert done == [4, 6]
    assert first.spent_eur.shape == (6, 31) and first.finished == 1.0
    assert not first.spent_eur[:, 0].any() and not first.hits[:, 0].any() and np.isinf(first.best[:, 0]).all()
    assert float(first.spent_eur.max()) <= 4000.0
    spent, hits = np.asarray(first.spent_eur), np.asarray(first.hits)
    assert np.all(np.diff(spent, axis=1) >= 0.0) and np.all(np.diff(hits, axis=1) >= 0)
    assert len({tuple(row) for row in spent.tolist()}) > 1, "worlds differ"
    goes_on_where_it_was(rules, start, first, tmp_path)


def goes_on_where_it_was(rules, start, first, folder):
    """Parts that are there are read, missing ones simulated; parts of another study or half a part are refused."""
    kept = folder / "part-000000004.npz"
    parts = sorted(path.name for path in folder.glob("*.npz"))
    assert parts == ["part-000000000.npz", kept.name]
    kept.unlink()
    stamp = (folder / parts[0]).stat().st_mtime_ns
    call = lambda seed=0: study(rules.policy, start, goal(synthetic.config()), 6, 30, seed, folder=folder)  # noqa: E731
    jax.tree.map(np.testing.assert_array_equal, first, call())
    assert kept.exists() and (folder / parts[0]).stat().st_mtime_ns == stamp
    with pytest.raises(StudyError, match="another study"):
        call(seed=1)
    kept.write_bytes(kept.read_bytes()[:100])
    with pytest.raises(StudyError, match="not a whole part"):
        call()


@pytest.mark.parametrize(
    "campaigns, steps, budget, said",
    [(0, 5, 100.0, "campaigns=0"), (5, 0, 100.0, "steps=0"), (5, 5, 0.0005, "raise the budget")],
)
def test_a_study_that_could_tell_nothing_is_refused(rules, campaigns, steps, budget, said):
    policy = eqx.tree_at(lambda p: p.budget_eur, rules.policy, jnp.asarray(budget))
    with pytest.raises(StudyError, match=said):
        study(policy, first_moment(policy, rules.first), Goal("x", "eV", 1.0, 3, None), campaigns, steps, 0)

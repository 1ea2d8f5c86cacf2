"""The laboratory as worlds of a study: faults as stated, pure and traced, and simulated campaigns run in them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import kstest

from mfal.acquisition.improvement import ExpectedImprovement
from mfal.campaign.policy import Policy, initial_state
from mfal.dataset import FAILED, OBSERVED, empty_dataset
from mfal.fidelity import Fidelity
from mfal.surrogate.recursive import recursive_surrogate
from mfal.whatif.faults import DAYS, FaultyTwin, declared, no_faults
from mfal.whatif.simulate import Aim, first_moment, prepared, simulate
from mfal.whatif.world import Table
from physics import laboratory_truth
from physics.experiment.truth import Replayed
from physics.laboratory_twin import LaboratoryTwin, faults
from physics.simulated_laboratory import alloy_grid
from tests import synthetic
from tests.mfal.campaign.worlds import rules

N = 24
POOL = synthetic.pool({})
TRUTH = jnp.asarray(synthetic.truth()[:, 2])


def policy() -> Policy:
    """Return expected improvement at one price, three samples in a batch."""
    plain = rules([300.0], capacity=[3], budget=3000.0, latency=[48.0])
    chosen = ExpectedImprovement(plain.noise_variance, jnp.asarray(1.0), 0)
    return eqx.tree_at(lambda p: (p.acquisition, p.noise_variance), plain, (chosen, jnp.zeros(1)))


POLICY = policy()
STATE = initial_state(
    recursive_surrogate(jnp.asarray(POOL.features), jnp.zeros(1), jnp.ones(1), False), empty_dataset(N, 1)
)


COUNT = 3000


@eqx.filter_jit
def draw(faults, state):
    twin = FaultyTwin(LaboratoryTwin(Replayed(TRUTH), jnp.zeros((N, 1))), (faults,))
    return twin.draw(POLICY, state, COUNT, jax.random.key(1))


def drawn(state=STATE, **changes):
    """Return worlds around the known truth in which the faults happen that are given; compiled once for all tests."""
    blank = {
        "batch_sd": 0.0, "drift_sd_per_root_week": 0.0, "standards_sd": np.inf, "mistaken_share": 0.0,
        "hard_failure": 0.0, "hard_share": 0.0, "failure": 0.0, "mistaken_for": (np.arange(N) + 1) % N,
        "shift_share": [0.0, 0.0], "shift_sd": [0.0, 0.0],
    }  # fmt: skip
    arrays = {
        key: None if value is None else jnp.asarray(np.asarray(value)) for key, value in {**blank, **changes}.items()
    }
    return draw(no_faults(POOL, **arrays, calibration_days=28), state)


def first(world):
    return jax.tree.map(lambda leaf: leaf[0], world)


def test_without_faults_the_world_is_the_truth():
    world = first(drawn())
    value, failed = world.answer(jnp.arange(N), jnp.zeros(N, int), jnp.asarray(100.0))
    np.testing.assert_array_equal(value, TRUTH)
    assert not failed.any()
    np.testing.assert_array_equal(world.truth(0), TRUTH)


def test_days_move_the_laboratory_alone():
    value = jnp.arange(4.0).reshape(2, 2)
    world = Table(value, value, jnp.zeros((2, 2), bool), jnp.array([[0.0, 0.0], [0.0, 10.0], [0.0, 20.0]]))
    both = jnp.array([1, 1]), jnp.array([0, 1])
    for hours, off in ((0.0, 0.0), (23.9, 0.0), (24.0, 10.0), (1e4, 20.0)):
        np.testing.assert_array_equal(world.answer(*both, jnp.asarray(hours))[0], [2.0, 3.0 + off])


def test_a_calibration_sets_the_instrument_right():
    by_day = np.asarray(drawn(drift_sd_per_root_week=2.0).by_day)[:, :, 0]
    assert by_day.shape[1] == DAYS and not by_day[:, [0, 28, 56]].any()
    assert kstest(by_day[:, 14] / (2.0 * 2**0.5), "norm").pvalue > 1e-3
    assert kstest(by_day[:, 35] / 2.0, "norm").pvalue > 1e-3
    batches = np.asarray(drawn(batch_sd=3.0).by_day)[:, :, 0]
    assert kstest(batches[:, 5] / 3.0, "norm").pvalue > 1e-3


def test_standards_leave_the_error_of_the_best_linear_estimate():
    """Of variances 9 and 4 remains 1 / (1/9 + 1/4); none without standards that err."""
    left = np.asarray(drawn(batch_sd=3.0, standards_sd=2.0).by_day)[:, 3, 0]
    assert kstest(left / (36.0 / 13.0) ** 0.5, "norm").pvalue > 1e-3
    assert np.abs(np.asarray(drawn(batch_sd=3.0, standards_sd=0.0).by_day)).max() < 1e-6


def test_mistakes_and_failures_are_as_frequent_as_stated():
    other = (np.arange(N) + 1) % N
    world = drawn(mistaken_share=0.2, failure=0.1, hard_failure=0.7, hard_share=0.5)
    value, failed = np.asarray(world.value[:, :, 0]), np.asarray(world.failed[:, :, 0])
    wrong = value != np.asarray(TRUTH)
    assert abs(wrong.mean() - 0.2) < 4 * (0.16 / wrong.size) ** 0.5
    assert np.allclose(np.where(wrong, value - np.asarray(TRUTH)[other], 0.0), 0.0)
    assert abs(failed.mean() - 0.4) < 4 * (0.5 / failed.size) ** 0.5
    assert failed.sum(axis=1).std() > 1.5, "which materials are hard differs between the worlds"


def test_without_a_statement_mistakes_are_about_any_other_candidate():
    world = drawn(mistaken_share=1.0, mistaken_for=None)
    value = np.asarray(world.value[:, 0, 0])
    counts = np.array([np.isclose(value, one).sum() for one in np.asarray(TRUTH)])
    assert counts[0] == 0 and counts[1:].min() > 40


def test_answers_in_hand_stand_and_what_failed_stays_failed():
    status = STATE.dataset.status.at[0, 0].set(OBSERVED).at[1, 0].set(FAILED)
    state = eqx.tree_at(
        lambda s: (s.dataset.status, s.dataset.value), STATE, (status, jnp.asarray(np.full((N, 1), 7.0)))
    )
    world = drawn(state, mistaken_share=1.0, shift_share=[1.0, 0.0], shift_sd=[1.0, 0.0], failure=1.0)
    assert (np.asarray(world.value[:, 0, 0]) == 7.0).all() and not np.asarray(world.failed[:, 0, 0]).any()
    assert np.asarray(drawn(state).failed[:, 1, 0]).all()


def test_shifts_are_as_wide_as_stated():
    off = (np.asarray(drawn(shift_share=[1.0, 1.0], shift_sd=[3.0, 4.0]).value[:, :, 0]) - np.asarray(TRUTH)) / 5.0
    assert kstest(off[:, 0], "norm").pvalue > 1e-3
    rare = np.asarray(drawn(shift_share=[0.1, 0.0], shift_sd=[3.0, 0.0]).value[:, :, 0]) != np.asarray(TRUTH)
    assert abs(rare.mean() - 0.1) < 4 * (0.09 / rare.size) ** 0.5


def laboratory(**options):
    """Return a fidelity of the simulated laboratory and its pool."""
    kinds = {"batch": {"sd": 8.0}, "refused": {"share": 0.2, "probability": 0.5}, "dropped": {"probability": 0.1}}
    chosen = {"failures": kinds, "attempts": 2, "instrument": {"standards": 4}, **options}
    fidelity = Fidelity("hardness", "simulated_laboratory", 300.0, 48.0, 3, 6.0, options=chosen)
    return fidelity, alloy_grid({"elements": ["Ni", "Co", "Cr"], "parts": 4})


def test_the_faults_are_those_of_the_campaign_file():
    found = faults(*laboratory())
    assert float(found.batch_sd) == 8.0 and float(found.standards_sd) == 3.0
    np.testing.assert_allclose(found.failure, (1 - 0.9**3) ** 2)
    np.testing.assert_allclose(found.hard_failure, (1 - 0.5 * 0.9**3) ** 2)
    assert any("days off by 8" in said for said in found.said)


def test_what_may_not_form_fails_more_often_the_further_above_the_hull(tmp_path):
    _, pool = laboratory()
    above = np.linspace(0.0, 0.2, len(pool))
    rows = [f"{name},{value}" for name, value in zip(pool.ids, above, strict=True)]
    (tmp_path / "hull.csv").write_text("\n".join(["formula,value", *rows]))
    truth = {"kind": "gap", "above_hull": str(tmp_path / "hull.csv")}
    found = faults(*laboratory(truth=truth, failures={}))
    assert (np.diff(np.asarray(found.failure)) > 0.0).all()
    assert float(found.failure[0]) < 0.1 and float(found.failure[-1]) > 0.95
    assert any("above the hull" in said for said in found.said)


def test_neither_seeds_nor_the_hidden_truth_reach_the_worlds(monkeypatch):
    """Two laboratories that differ in all that is hidden have the same faults, and nobody draws a truth for them."""
    monkeypatch.setattr(laboratory_truth, "drawn", pytest.fail)
    monkeypatch.setattr(laboratory_truth, "hidden_truth", pytest.fail)
    options = [{"seed": seed, "truth": {"kind": "solid_solution", "seed": 7 + seed}} for seed in (1, 2)]
    one, other = (jax.tree.leaves(faults(*laboratory(**hidden))) for hidden in options)
    for left, right in zip(one, other, strict=True):
        np.testing.assert_array_equal(left, right)


def test_a_laboratory_of_people_is_as_mistaken_as_the_group_says():
    people = Fidelity("hardness", "laboratory", 300.0, 48.0, 3, 6.0, mistaken_share=0.1)
    found = declared(people, POOL)
    assert (
        found is not None
        and found.failure is None
        and float(found.mistaken_share) == 0.1
        and "10% of the answers" in found.said[0]
    )
    assert declared(Fidelity("cheap", "laboratory", 1.0, 1.0, 1, 0.0), POOL) is None


def test_campaigns_run_in_these_worlds_traced():
    """Four campaigns side by side; every measured value is the truth plus the offset of one day."""
    start = prepared(POLICY, first_moment(POLICY, STATE), 4, frozen=True)
    worlds = jax.tree.map(lambda leaf: leaf[:4], drawn(batch_sd=0.05, failure=0.2))
    aim = Aim(jnp.sort(TRUTH)[3] > TRUTH, TRUTH)
    keys = jax.random.split(jax.random.key(0), 4)
    run = eqx.filter_jit(jax.vmap(lambda world, key: simulate(POLICY, start, world, aim, key, 4)))
    state, trace = run(worlds, keys)
    for world in range(4):
        dataset = jax.tree.map(lambda leaf, world=world: leaf[world], state.dataset)
        observed = np.asarray(dataset.observed[:, 0])
        off = (np.asarray(dataset.value[:, 0]) - np.asarray(TRUTH))[observed]
        assert off.size and all(np.isclose(worlds.by_day[world, :, 0], one, atol=1e-9).any() for one in off)
    assert np.asarray(trace.spent_eur[:, -1] > 0).all()

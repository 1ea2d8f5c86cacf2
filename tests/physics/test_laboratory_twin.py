"""The laboratory as worlds of a study: faults as stated, pure and traced, and simulated campaigns run in them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import kstest

from mfal.acquisition.improvement import ExpectedImprovement
from mfal.campaign.policy import Policy, initial_state
from mfal.dataset import empty_dataset
from mfal.surrogate.recursive import recursive_surrogate
from mfal.whatif.simulate import Aim, first_moment, prepared, simulate
from physics.experiment.truth import Replayed
from physics.laboratory_twin import Faults, LaboratoryTwin, LaboratoryWorld
from tests import synthetic
from tests.mfal.campaign.worlds import rules

N, DAYS = 24, 70
TRUTH = jnp.asarray(synthetic.truth()[:, 2])


def policy() -> Policy:
    """Return expected improvement at one price, three samples in a batch."""
    plain = rules([300.0], capacity=[3], budget=3000.0, latency=[48.0])
    chosen = ExpectedImprovement(plain.noise_variance, jnp.asarray(1.0), 0)
    return eqx.tree_at(lambda p: p.acquisition, plain, chosen)


POLICY = policy()
STATE = initial_state(
    recursive_surrogate(jnp.asarray(synthetic.pool({}).features), jnp.zeros(1), jnp.ones(1), False), empty_dataset(N, 1)
)


def drawn(count, **changes):
    fields = {
        "noise_sd": 0.0, "batch_sd": 0.0, "drift_sd_per_root_week": 0.0, "mistaken_share": 0.0, "failure": jnp.zeros(N),
        "mistaken_for": (jnp.arange(N) + 1) % N,
    }  # fmt: skip
    faults = Faults(**{key: jnp.asarray(value) for key, value in {**fields, **changes}.items()}, calibration_days=28)
    twin = LaboratoryTwin(Replayed(TRUTH), jnp.zeros((N, 1)), faults, DAYS)
    return twin.draw(POLICY, STATE, count, jax.random.key(1))


def first(world):
    return jax.tree.map(lambda leaf: leaf[0], world)


def test_without_faults_the_world_is_the_truth():
    world = first(drawn(1))
    value, failed = world.answer(jnp.arange(N), jnp.zeros(N, int), jnp.asarray(100.0))
    np.testing.assert_array_equal(value, TRUTH)
    assert not failed.any()
    np.testing.assert_array_equal(world.truth(0), TRUTH)


def test_days_move_the_laboratory_alone():
    value = jnp.arange(4.0).reshape(2, 2)
    world = LaboratoryWorld(value[:, 1], value, jnp.zeros((2, 2), bool), jnp.array([0.0, 10.0, 20.0]), 1)
    both = jnp.array([1, 1]), jnp.array([0, 1])
    for hours, off in ((0.0, 0.0), (23.9, 0.0), (24.0, 10.0), (1e4, 20.0)):
        np.testing.assert_array_equal(world.answer(*both, jnp.asarray(hours))[0], [2.0, 3.0 + off])


def test_a_calibration_sets_the_instrument_right():
    by_day = np.asarray(drawn(4000, drift_sd_per_root_week=2.0).by_day)
    assert not by_day[:, [0, 28, 56]].any()
    assert kstest(by_day[:, 14] / (2.0 * 2**0.5), "norm").pvalue > 1e-3
    assert kstest(by_day[:, 35] / 2.0, "norm").pvalue > 1e-3
    batches = np.asarray(drawn(2000, batch_sd=3.0).by_day)
    assert kstest(batches[:, 5] / 3.0, "norm").pvalue > 1e-3


def test_mistakes_and_failures_are_as_frequent_as_stated():
    world = drawn(3000, mistaken_share=0.2, failure=jnp.linspace(0.0, 0.5, N))
    other = np.asarray(world.value[:, :, 0] != TRUTH)
    assert abs(other.mean() - 0.2) < 4 * (0.16 / other.size) ** 0.5
    np.testing.assert_allclose(np.asarray(world.failed[:, :, 0]).mean(axis=0), np.linspace(0, 0.5, N), atol=0.04)


def test_campaigns_run_in_these_worlds_traced():
    """Four campaigns side by side; every measured value is the truth plus the offset of one day."""
    start = prepared(POLICY, first_moment(POLICY, STATE), 4, frozen=True)
    worlds = drawn(4, batch_sd=0.05, failure=jnp.full(N, 0.2))
    aim = Aim(jnp.sort(TRUTH)[3] > TRUTH, TRUTH)
    keys = jax.random.split(jax.random.key(0), 4)
    run = eqx.filter_jit(jax.vmap(lambda world, key: simulate(POLICY, start, world, aim, key, 4)))
    state, trace = run(worlds, keys)
    for world in range(4):
        dataset = jax.tree.map(lambda leaf, world=world: leaf[world], state.dataset)
        observed = np.asarray(dataset.observed[:, 0])
        off = (np.asarray(dataset.value[:, 0]) - np.asarray(TRUTH))[observed]
        assert off.size and all(np.isclose(worlds.by_day[world], one, atol=1e-9).any() for one in off)
    assert np.asarray(trace.spent_eur[:, -1] > 0).all()

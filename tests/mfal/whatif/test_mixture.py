"""Worlds from uncertain hyper-parameters: those of the posterior where they are known, and mixed where not."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mfal.campaign.policy import State
from mfal.dataset import empty_dataset
from mfal.surrogate.joint import JointGP, joint_prior
from mfal.surrogate.recursive import recursive_surrogate
from mfal.surrogate.warp import Warp
from mfal.whatif.mixture import MixtureTwin, twin_of
from mfal.whatif.spread import in_precision
from mfal.whatif.twin import PosteriorTwin
from tests.mfal.campaign.worlds import rules
from tests.mfal.surrogate.recursive_cases import tables

# Compilation dominates; what a study needs of it is seen in the other tests.
pytestmark = pytest.mark.slow

N, WORLDS = 12, 1200
POLICY = rules([1.0, 10.0], noise=[0.0, 0.04])
NAMES = ("recursive", "joint")

draw = eqx.filter_jit(lambda twin, state, count, key: twin.draw(POLICY, state, count, key))
condition = eqx.filter_jit(lambda surrogate, dataset: surrogate.condition(dataset))


def known():
    """Return nested answers of a cheap exact and a dear noisy source, and queries of the dear one that failed."""
    rng = np.random.default_rng(1)
    low, observed, failed = rng.normal(size=N), np.zeros((N, 2), bool), np.zeros((N, 2), bool)
    observed[:8, 0], observed[:4, 1], failed[4, 1] = True, True, True
    noise = np.broadcast_to([0.0, 0.04], (N, 2))
    return tables(observed, np.column_stack([low, 2.0 * low + 0.5]), noise, failed)


def surrogate(name):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(N, 2)))
    typical, spread = jnp.array([0.3, -0.5]), jnp.array([1.0, 1.5])
    if name == "recursive":
        return recursive_surrogate(x, typical, spread, False)
    prior = joint_prior(typical, spread, 2, "lmc")
    return JointGP(x, prior, prior.mean, 2 * N)


def state(name, dataset):
    model, none = surrogate(name), jnp.zeros(2, dtype=jnp.int32)
    return State(model, condition(model, dataset), dataset, jnp.zeros(()), none, none)


def mixture(now, fresh=False, shifts=(0.0,)):
    """Return the twin of hyper-parameters that differ from the current ones in the logarithm of the amplitudes."""
    stacked = jax.tree.map(lambda leaf: jnp.stack([leaf] * len(shifts)), now.surrogate.parameters)
    shifted = stacked.log_amplitude + jnp.asarray(shifts)[:, None]
    return MixtureTwin(eqx.tree_at(lambda p: p.log_amplitude, stacked, shifted), None, fresh)


def flat(worlds):
    return np.asarray(worlds.mean).reshape(len(worlds.mean), -1)


@pytest.fixture(scope="module", params=NAMES)
def pair(request):
    """Return a state with answers, its posterior's worlds and those of a mixture of one."""
    now = state(request.param, known())
    return now, *(draw(twin, now, WORLDS, jax.random.key(0)) for twin in (PosteriorTwin(), mixture(now)))


def test_a_single_draw_gives_the_worlds_of_the_posterior(pair):
    now, plain, mixed = pair
    mean, theirs, ours = np.asarray(now.belief.mean).ravel(), np.cov(flat(plain).T), np.cov(flat(mixed).T)
    sd = np.sqrt(np.diag(theirs))
    assert (np.abs(flat(mixed).mean(axis=0) - mean) < 4.5 * sd / np.sqrt(WORLDS) + 1e-4).all()
    # Worlds of a posterior share their random features, which may be off by 2.2 % of the variance.
    error = np.sqrt(2.0 * (theirs**2 + np.outer(sd, sd) ** 2) / WORLDS)
    assert (np.abs(ours - theirs) < 4.5 * error + 0.03 * np.outer(sd, sd) + 1e-6).all()


def test_noise_and_failures_are_those_of_the_posterior(pair):
    now, plain, mixed = pair
    observed, failed = np.asarray(now.dataset.observed), np.asarray(mixed.failed)
    noise = np.asarray(mixed.value - mixed.mean)[:, ~observed[:, 1], 1]
    assert noise.std() == pytest.approx(0.2, rel=0.03) and abs(noise.mean()) < 0.01
    assert failed[:, 4, 1].all() and not failed[:, :, 0].any() and not failed[:, observed].any()
    share = failed[:, 5:, 1].mean()
    assert share == pytest.approx(0.2, abs=4.5 * np.sqrt(0.16 / (7 * WORLDS)))
    assert jax.tree.structure(plain) == jax.tree.structure(mixed)


def test_answers_in_hand_stand(pair):
    now, _, mixed = pair
    observed = np.asarray(now.dataset.observed)
    answers = np.asarray(now.dataset.value)[observed]
    np.testing.assert_array_equal(np.asarray(mixed.value)[:, observed], np.tile(answers, (WORLDS, 1)))
    exact = observed[:, 0]
    np.testing.assert_allclose(np.asarray(mixed.mean)[:, exact, 0].std(axis=0), 0.0, atol=1e-3)


@pytest.fixture(scope="module", params=NAMES)
def anew(request):
    """Return a state without answers, one with them, and fresh worlds from both."""
    states = [state(request.param, dataset) for dataset in (empty_dataset(N, 2), known())]
    return states, [draw(mixture(now, True, (0.0, 0.0)), now, WORLDS, jax.random.key(1)) for now in states]


def test_fresh_worlds_before_any_answer_have_the_moments_of_the_prior(anew):
    (before, _), (worlds, _) = anew
    mean, own = np.asarray(before.belief.mean), np.asarray(before.belief.own)
    sd = np.sqrt(np.diagonal(own, axis1=1, axis2=2))
    assert (np.abs(np.asarray(worlds.mean).mean(axis=0) - mean) < 4.5 * sd / np.sqrt(WORLDS)).all()
    deviation = np.asarray(worlds.mean) - mean
    products = deviation[:, :, :, None] * deviation[:, :, None, :]
    error = products.std(axis=0) / np.sqrt(WORLDS)
    assert (np.abs(products.mean(axis=0) - own) < 4.5 * error).all(), "the spread of the slopes included"
    assert not np.asarray(worlds.failed).any()


def test_fresh_worlds_know_no_answer(anew):
    (_, now), (_, worlds) = anew
    observed, failed = np.asarray(now.dataset.observed), np.asarray(worlds.failed)
    spread = np.asarray(worlds.value).std(axis=0)
    assert spread.min() > 0.5 * spread.max(axis=0).min()
    assert not (np.asarray(worlds.value)[:, observed] == np.asarray(now.dataset.value)[observed]).any()
    # A query that failed here may succeed there, and queries fail as often.
    error = np.sqrt(0.16 / WORLDS)
    assert failed[:, 4, 1].mean() == pytest.approx(0.2, abs=4.5 * error) and not failed[:, :, 0].any()
    assert failed[:, :, 1].mean() == pytest.approx(0.2, abs=4.5 * error / np.sqrt(N))


def test_fresh_worlds_have_the_slope_that_the_answers_taught(anew):
    """Slope of the target on the cheap source within each world, against the belief's; two there."""
    (_, now), (_, worlds) = anew
    learnt = np.asarray(now.belief.links().slope_mean)[1, 0]
    low, high = np.moveaxis(np.asarray(worlds.mean) - np.asarray(worlds.mean).mean(axis=1, keepdims=True), 2, 0)
    found = np.sum(low * high, axis=1) / np.sum(low**2, axis=1)
    assert found.mean() == pytest.approx(learnt, abs=4.5 * found.std() / np.sqrt(WORLDS))


def test_each_world_has_hyper_parameters_of_its_own():
    """Two draws whose amplitudes differ by a factor of e^3: half of the worlds are flat, and the same key repeats."""
    now = state("recursive", empty_dataset(N, 2))
    twin = mixture(now, fresh=True, shifts=(-3.0, 0.0))
    first, again = (draw(twin, now, WORLDS, jax.random.key(2)) for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, first, again)
    single = [draw(mixture(now, True, (shift, shift)), now, WORLDS, jax.random.key(3)) for shift in (-3.0, 0.0)]
    variance = [np.asarray(worlds.mean)[:, :, 0].var(axis=1) for worlds in (first, *single)]
    error = np.sqrt(sum(one.var() for one in variance) / WORLDS)
    assert variance[0].mean() == pytest.approx(0.5 * (variance[1].mean() + variance[2].mean()), abs=4.5 * error)
    wide = [np.mean(one > np.quantile(variance[1], 0.99)) for one in variance]
    assert wide[2] > 0.5 and wide[0] == pytest.approx(0.5 * (wide[1] + wide[2]), abs=4.5 * 0.5 / np.sqrt(WORLDS))


@pytest.mark.parametrize("name, fresh", [("recursive", True), ("joint", False)])
def test_single_precision_will_do(name, fresh):
    now = state(name, known())
    twin = mixture(now, fresh)
    with in_precision(True, (POLICY, now, twin)) as (policy, lowered, single):
        worlds = eqx.filter_jit(single.draw)(policy, lowered, 8, jax.random.key(0))
    assert worlds.value.dtype == worlds.mean.dtype == jnp.float32 and worlds.value.shape == (8, N, 2)
    assert np.isfinite(worlds.value).all() and np.isfinite(worlds.mean).all()


def test_worlds_of_a_running_campaign_keep_its_answers_and_have_shapes_of_their_own():
    now = state("recursive", known())
    twin = twin_of(POLICY, now, jax.random.key(0))
    assert isinstance(twin, MixtureTwin) and twin.warp is not None
    assert len(set(np.asarray(twin.warp.skew)[:, 1].tolist())) == len(twin.warp.skew)
    worlds = draw(twin, now, 200, jax.random.key(1))
    observed = np.asarray(now.dataset.observed)
    value, mean = np.asarray(worlds.value), np.asarray(worlds.mean)
    np.testing.assert_array_equal(
        value[:, observed], np.broadcast_to(now.dataset.value[observed], (200, observed.sum()))
    )
    assert np.isfinite(value).all() and value[:, ~observed].std(axis=0).min() > 0.05
    # Noise of the target only, and of its own variance in the unit of the values.
    noise = (value - mean)[:, ~observed[:, 1], 1]
    np.testing.assert_allclose((value - mean)[:, :, 0], 0.0, atol=1e-3)
    assert noise.var() == pytest.approx(0.04, rel=4.5 * np.sqrt(2.0 / noise.size))
    with in_precision(True, (POLICY, now, twin)) as (policy, lowered, single):
        assert eqx.filter_jit(single.draw)(policy, lowered, 8, jax.random.key(0)).value.dtype == jnp.float32


def test_a_straight_transform_changes_nothing():
    """The same key, the same worlds, up to what the transform and its inverse round."""
    now = state("recursive", known())
    plain = mixture(now)
    straight = Warp.none(now.surrogate.prior)
    bent = MixtureTwin(plain.parameters, jax.tree.map(lambda leaf: leaf[None], straight), False)
    ours, theirs = (draw(twin, now, 20, jax.random.key(4)) for twin in (bent, plain))
    np.testing.assert_allclose(ours.value, theirs.value, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(ours.failed, theirs.failed)


def test_without_answers_at_the_target_worlds_come_from_the_belief():
    assert isinstance(twin_of(POLICY, state("recursive", empty_dataset(N, 2)), jax.random.key(0)), PosteriorTwin)
    assert isinstance(twin_of(POLICY, state("joint", known()), jax.random.key(0)), PosteriorTwin)

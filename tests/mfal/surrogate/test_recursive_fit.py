"""What recursive co-kriging learns: hyper-parameters, slopes of good, bad and silent sources, and poor data."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mfal.dataset import EMPTY, FAILED, OBSERVED, Dataset
from mfal.surrogate.recursive import RecursiveGP, recursive_surrogate
from mfal.surrogate.recursive_belief import Ascent

D = 2


def surrogate(x, levels=2, nonlinear=False):
    return recursive_surrogate(jnp.asarray(x), jnp.zeros(levels), jnp.ones(levels), nonlinear)


def tables(observed, value, failed=False, noise=0.0):
    observed = np.asarray(observed, bool)
    status = np.where(observed, OBSERVED, np.where(failed, FAILED, EMPTY)).astype(np.int8)
    return Dataset(*map(jnp.asarray, (status, np.where(observed, value, 0.0), np.where(observed, noise, 0.0))))


def smooth(x, rng):
    """Return a smooth random function of the descriptors, of unit spread."""
    weights = rng.normal(size=(4, D))
    f = np.sin(x @ weights.T + rng.uniform(0, 6, 4)) @ rng.normal(size=4)
    return (f - f.mean()) / f.std()


def world(seed, n=40, targets=14):
    """Return descriptors, a cheap property screened over the pool, a related target, and which targets are known."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, D))
    cheap = smooth(x, rng) + 0.2 * rng.normal(size=n)
    target = 0.8 * cheap + 0.4 * smooth(x, rng) + 0.1 * rng.normal(size=n)
    observed = np.zeros((n, 2), bool)
    observed[:, 0], observed[rng.choice(n, targets, replace=False), 1] = True, True
    return x, cheap, target, observed


fit, condition = eqx.filter_jit(RecursiveGP.fit), eqx.filter_jit(RecursiveGP.condition)


def learnt(model, data):
    """Return the fitted surrogate and its belief."""
    fitted = fit(model, data, jnp.ones(data.status.shape[1], bool))
    return fitted, condition(fitted, data)


@eqx.filter_jit
def losses(model, fitted, data):
    """Return each level's loss before and after a fit, given what lies below after it."""
    ascent, before, after = Ascent.start(model.features.shape[0]), [], []
    for level in range(len(model.rows)):
        rows, trend, inputs = fitted.level_problem(data, ascent, model.features.shape[0])
        for values, one in ((before, model), (after, fitted)):
            values.append(one.loss(one.parameters.vector(level), level, rows, trend, inputs))
        ascent = ascent.up(fitted.level_process(data, ascent), data)
    return jnp.array(before), jnp.array(after)


def all_finite(tree):
    return all(
        np.isfinite(x).all() for x in jax.tree.leaves(tree) if jnp.issubdtype(jnp.asarray(x).dtype, jnp.floating)
    )


def target_rmse(belief, target, observed):
    return float(np.sqrt(np.mean((np.asarray(belief.mean)[:, -1] - target)[~observed[:, -1]] ** 2)))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("nonlinear", [False, True])
def test_fit_lowers_the_loss_of_every_level(seed, nonlinear):
    x, cheap, target, observed = world(seed)
    model, data = surrogate(x, nonlinear=nonlinear), tables(observed, np.column_stack([cheap, target]))
    before, after = losses(model, learnt(model, data)[0], data)
    assert (after < before).all()


@pytest.mark.parametrize("level", [0, 1])
def test_gradient_of_the_loss_agrees_with_finite_differences(level):
    x, cheap, target, observed = world(0)
    model, data = surrogate(x), tables(observed, np.column_stack([cheap, target]))
    ascent = Ascent.start(model.features.shape[0])
    for process in condition(model, data).levels[:level]:
        ascent = ascent.up(process, data)
    rows, trend, inputs = eqx.filter_jit(RecursiveGP.level_problem)(model, data, ascent, 32)
    value = jax.jit(lambda vector: model.loss(vector, level, rows, trend, inputs))
    point, step = model.parameters.vector(level) + 0.1, 1e-5
    ours = np.asarray(jax.jit(jax.grad(value))(point))
    for k, unit in enumerate(np.eye(len(point))):
        difference = (value(point + step * unit) - value(point - step * unit)) / (2 * step)
        assert ours[k] == pytest.approx(float(difference), rel=1e-6, abs=1e-6), k


@pytest.mark.parametrize("grown", [(False, False), (True, False), (False, True)])
def test_only_levels_that_have_grown_are_fitted(grown):
    x, cheap, target, observed = world(1)
    model, data = surrogate(x), tables(observed, np.column_stack([cheap, target]))
    fitted = fit(model, data, jnp.array(grown))
    for level in range(2):
        same = bool((fitted.parameters.vector(level) == model.parameters.vector(level)).all())
        assert same != grown[level]


def test_fit_chooses_inducing_points_anew():
    x, cheap, target, observed = world(2)
    model = dataclasses.replace(surrogate(x), inducing=(jnp.arange(10), None))
    data = tables(observed, np.column_stack([cheap, target]))
    fitted, belief = learnt(model, data)
    assert len(set(np.asarray(fitted.inducing[0]))) == 10
    assert not (fitted.inducing[0] == model.inducing[0]).all()
    assert all_finite(belief)
    np.testing.assert_allclose(belief.mean[:, 0], cheap, atol=1e-10)
    kept = fit(model, data, jnp.array([False, True]))
    assert (kept.inducing[0] == model.inducing[0]).all()


def target_alone(model):
    """Return the surrogate of the last fidelity alone, with what is believed and known of it."""
    last = lambda tree: jax.tree.map(lambda leaf: leaf[-1:], tree)  # noqa: E731
    prior = dataclasses.replace(last(model.prior), slope_mean=jnp.zeros((1, 1)), slope_sd=jnp.zeros((1, 1)))
    return dataclasses.replace(
        model, prior=prior, parameters=last(model.parameters), inducing=(None,), rows=model.rows[-1:]
    )


def test_a_dead_source_leaves_the_target_to_itself():
    """Before and after a fit, against a surrogate that has never heard of the source."""
    x, _, target, observed = world(3)
    observed[:, 0] = False
    failed = np.zeros_like(observed)
    failed[:3, 0] = True
    value = np.column_stack([target, target])
    both, alone = surrogate(x), target_alone(surrogate(x))
    data, of_target = tables(observed, value, failed), tables(observed[:, 1:], value[:, 1:])
    (fitted, ours), (fitted_alone, theirs) = learnt(both, data), learnt(alone, of_target)
    for one, other in ((condition(both, data), condition(alone, of_target)), (ours, theirs)):
        np.testing.assert_allclose(one.mean[:, 1], other.mean[:, 0], rtol=0, atol=1e-7)
        np.testing.assert_allclose(one.own[:, 1, 1], other.own[:, 0, 0], rtol=0, atol=1e-7)
        everyone = jnp.arange(len(x))
        np.testing.assert_allclose(one.block(everyone, 1), other.block(everyone, 0), rtol=0, atol=1e-7)
        np.testing.assert_allclose(one.own[:, 0, 1], 0.0, atol=1e-12)
        assert float(one.links().slope_mean[1, 0]) == 0.0 == float(one.links().slope_sd[1, 0])
    np.testing.assert_allclose(fitted.parameters.vector(1), fitted_alone.parameters.vector(0), atol=1e-6)
    # Two failures are bad luck.
    failed[2, 0] = False
    assert float(condition(both, tables(observed, value, failed)).links().slope_sd[1, 0]) > 0.0


def test_a_permuted_source_does_little_harm():
    """Twenty-four seeds; a single process on the target with its own default prior is the measure."""
    ratio, within = [], []
    for seed in range(24):
        x, cheap, target, observed = world(seed)
        cheap = np.random.default_rng(seed).permutation(cheap)
        _, belief = learnt(surrogate(x), tables(observed, np.column_stack([cheap, target])))
        _, alone = learnt(surrogate(x, 1), tables(observed[:, 1:], target[:, None]))
        links = belief.links()
        within.append(abs(float(links.slope_mean[1, 0])) < 3 * float(links.slope_sd[1, 0]))
        ratio.append(target_rmse(belief, target, observed) / target_rmse(alone, target, observed[:, 1:]))
    assert sum(within) >= 23
    assert np.mean(ratio) < 1.05


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_slopes_have_the_sign_of_the_relation_and_the_source_helps(sign):
    """Each of eight seeds: the truth within four standard deviations, against a prior centred at 0.8."""
    ratio = []
    for seed in range(8):
        x, cheap, target, observed = world(seed)
        _, belief = learnt(surrogate(x), tables(observed, np.column_stack([sign * cheap, target])))
        _, alone = learnt(surrogate(x, 1), tables(observed[:, 1:], target[:, None]))
        slope, sd = float(belief.links().slope_mean[1, 0]), float(belief.links().slope_sd[1, 0])
        assert slope * sign > 0.0, seed
        assert abs(slope - sign * 0.8) < 4 * sd, seed
        ratio.append(target_rmse(belief, target, observed) / target_rmse(alone, target, observed[:, 1:]))
    assert np.mean(ratio) < 0.85


def test_the_nonlinear_link_learns_a_kink():
    """Ten seeds: target = max(cheap, 0), which no slope can follow."""
    ratio = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(40, D))
        cheap = rng.normal(size=40)
        target = np.maximum(cheap, 0.0)
        _, _, _, observed = world(seed, targets=16)
        data = tables(observed, np.column_stack([cheap, target]))
        errors = [
            target_rmse(learnt(surrogate(x, nonlinear=kind), data)[1], target, observed) for kind in (True, False)
        ]
        ratio.append(errors[0] / errors[1])
    assert np.mean(ratio) < 0.7
    assert sum(r < 1.0 for r in ratio) >= 9


@pytest.mark.parametrize(
    "kind", ["duplicates", "contradictory", "constant", "one", "none", "equal", "huge", "target only"]
)
@pytest.mark.parametrize("nonlinear", [False, True])
def test_poor_data_stay_finite(kind, nonlinear):
    x, cheap, target, observed = world(5)
    if kind in ("duplicates", "contradictory"):
        x[1::2] = x[::2]
        cheap, target = (np.repeat(f[::2], 2) if kind == "duplicates" else f for f in (cheap, target))
    value = np.column_stack([cheap, target])
    x = np.zeros_like(x) if kind == "constant" else x
    value = {"equal": np.zeros_like(value), "huge": 1e6 * value}.get(kind, value)
    if kind in ("one", "none"):
        observed[:] = False
        observed[4, :] = kind == "one"
    if kind == "target only":
        observed[:, 0] = False
    data = tables(observed, value)
    fitted, belief = learnt(surrogate(x, nonlinear=nonlinear), data)
    assert all_finite((fitted.parameters, belief, belief.links(), belief.level_covariance()))
    assert all_finite(belief.draws(2, 1, jax.random.key(0)))
    assert np.linalg.eigvalsh(np.asarray(belief.own)).min() > -1e-6 * max(1.0, np.abs(value).max() ** 2)
    # Exact answers are reproduced, also where candidates look alike and answer differently.
    scale = max(1.0, float(np.abs(value).max()))
    np.testing.assert_allclose(np.asarray(belief.mean)[observed], value[observed], rtol=0, atol=1e-3 * scale)

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mfal.errors import GenerationError
from mfal.generate.heads import FreeHead, SimplexHead, StoichiometryHead
from mfal.generate.training import Schedule
from mfal.generate.vae import Vae, VaeSettings, train_vae

ELEMENTS = ("Mo", "W", "S", "Se")
SHORT = VaeSettings(latent=3, hidden=16, spread=0.05, schedule=Schedule(steps=1500, batch=64, learning_rate=5e-3))


@pytest.fixture(scope="module")
def corpus():
    """MX2 with mixtures of either, in twelfths."""
    metals, others = np.meshgrid(np.linspace(0, 1, 13), np.linspace(0, 1, 13))
    m, x = metals.ravel()[:, None], others.ravel()[:, None]
    return jnp.asarray(np.column_stack([m / 3, (1 - m) / 3, 2 * x / 3, 2 * (1 - x) / 3]))


HEADS = {"free": FreeHead(4), "simplex": SimplexHead.of(4), "ratio": StoichiometryHead.of(ELEMENTS, ["Mo", "W"])}


@pytest.fixture(scope="module")
def trained(corpus):
    return {name: train_vae(corpus, head, SHORT, jax.random.key(0)) for name, head in HEADS.items()}


@pytest.mark.parametrize("name", HEADS)
def test_training_learns_the_corpus(trained, corpus, name):
    vae, losses = trained[name]
    assert losses.shape == (1500,)
    assert losses[-100:].mean() < 0.2 * losses[:10].mean()
    # Against the best constant, the mean of the corpus.
    error = jnp.abs(vae.reconstruct(corpus) - corpus).mean()
    assert error < 0.4 * jnp.abs(corpus.mean(axis=0) - corpus).mean()


@pytest.mark.parametrize("name", HEADS)
def test_samples_are_compositions(trained, name):
    x = trained[name][0].sample(2000, jax.random.key(1))
    assert x.shape == (2000, 4)
    assert (x >= 0.0).all()
    np.testing.assert_allclose(x.sum(axis=1), 1.0, atol=1e-15)
    off = jnp.abs(x[:, :2].sum(axis=1) - 1 / 3)
    assert (off.max() < 2e-16) == (name == "ratio")


def test_samples_spread_as_the_corpus_does(trained, corpus):
    x = trained["ratio"][0].sample(2000, jax.random.key(2))
    np.testing.assert_allclose(x.mean(axis=0), corpus.mean(axis=0), atol=0.04)
    np.testing.assert_allclose(x.std(axis=0), corpus.std(axis=0), rtol=0.4)


def test_a_key_fixes_everything(corpus):
    short = VaeSettings(latent=2, hidden=8, schedule=Schedule(steps=20, batch=8))
    one, again, other = (train_vae(corpus, HEADS["ratio"], short, jax.random.key(k)) for k in (5, 5, 6))
    np.testing.assert_array_equal(one[1], again[1])
    np.testing.assert_array_equal(one[0].sample(9, jax.random.key(0)), again[0].sample(9, jax.random.key(0)))
    assert (one[1] != other[1]).any()


def test_the_bound_is_that_of_a_gaussian_model(corpus):
    """The divergence against its definition by quadrature over one latent, the misfit against the density's."""
    vae = Vae.untrained(4, FreeHead(4), VaeSettings(latent=1, hidden=4, spread=0.5), jax.random.key(0))
    key, x = jax.random.key(1), corpus[:1]
    mean, log_variance = vae.encode(x)
    z = jnp.linspace(-12.0, 12.0, 20_001)
    log_q = -0.5 * (z - mean) ** 2 / jnp.exp(log_variance) - 0.5 * (log_variance + jnp.log(2 * jnp.pi))
    log_p = -0.5 * z**2 - 0.5 * jnp.log(2 * jnp.pi)
    divergence = jnp.trapezoid(jnp.exp(log_q[0]) * (log_q[0] - log_p), z)
    drawn = mean + jnp.exp(0.5 * log_variance) * jax.random.normal(key, mean.shape)
    misfit = jnp.sum((vae.free(drawn) - x) ** 2) / (2 * 0.5**2)
    np.testing.assert_allclose(vae.loss(x, 0.5, key), divergence + misfit, rtol=1e-6)


def test_the_gradient_of_the_loss_is_a_finite_difference(corpus):
    settings = VaeSettings(latent=2, hidden=4, spread=0.2)
    vae = Vae.untrained(4, HEADS["ratio"], settings, jax.random.key(3))
    leaves, tree = jax.tree.flatten(vae.parameters)
    key = jax.random.key(4)

    def loss(leaves):
        return Vae(vae.graph, jax.tree.unflatten(tree, leaves), vae.head, 2).loss(corpus[:5], 0.2, key)

    directions = [jax.random.normal(jax.random.key(i), leaf.shape) for i, leaf in enumerate(leaves)]
    moved = lambda h: [leaf + h * d for leaf, d in zip(leaves, directions, strict=True)]  # noqa: E731
    numeric = (loss(moved(1e-6)) - loss(moved(-1e-6))) / 2e-6
    exact = sum(jnp.sum(g * d) for g, d in zip(jax.grad(loss)(leaves), directions, strict=True))
    np.testing.assert_allclose(exact, numeric, rtol=1e-6)


@pytest.mark.parametrize("wrong", [{"latent": 0}, {"hidden": 0}, {"spread": 0.0}, {"spread": float("nan")}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(GenerationError):
        VaeSettings(**wrong)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"batch": 0}, {"learning_rate": 0.0}])
def test_impossible_schedules_are_refused(wrong):
    with pytest.raises(GenerationError):
        Schedule(**wrong)

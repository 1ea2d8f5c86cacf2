import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mfal.constraints.ilr import LogRatios
from mfal.errors import GenerationError
from mfal.generate.diffusion import DiffusionSettings, train_diffusion
from mfal.generate.training import Schedule

SHORT = DiffusionSettings(steps=50, hidden=48, floor=0.02, schedule=Schedule(steps=2500, batch=128, learning_rate=3e-3))
SIMPLEX = LogRatios.between([range(3)], [1.0])


@pytest.fixture(scope="module")
def corpus():
    """Two clusters of ternaries of equal weight."""
    rng = np.random.default_rng(0)
    parts = [rng.dirichlet(200 * np.array(centre), size=400) for centre in ([0.7, 0.2, 0.1], [0.1, 0.3, 0.6])]
    return jnp.asarray(np.concatenate(parts))


@pytest.fixture(scope="module")
def trained(corpus):
    return train_diffusion(corpus, SIMPLEX, SHORT, jax.random.key(0))


def test_training_reduces_the_loss_below_no_prediction(trained):
    losses = trained[1]
    assert losses.shape == (2500,)
    # Predicting no noise at all costs its variance, one.
    assert losses[-200:].mean() < 0.5


def test_samples_are_distributed_as_the_corpus(trained, corpus):
    x = trained[0].sample(2000, None, 0.0, jax.random.key(1))
    assert (x >= 0.0).all()
    np.testing.assert_allclose(x.sum(axis=1), 1.0, atol=1e-15)
    first = x[:, 0] > 0.4
    assert 0.4 < first.mean() < 0.6
    for of_corpus, of_samples in ((corpus[:400], x[first]), (corpus[400:], x[~first])):
        np.testing.assert_allclose(of_samples.mean(axis=0), of_corpus.mean(axis=0), atol=0.02)
        np.testing.assert_allclose(of_samples.std(axis=0), of_corpus.std(axis=0), atol=0.02)


def test_guidance_samples_the_product_of_both_densities(trained):
    """The wanted density depends on the cluster alone: its odds of 9 to 1 become those of the samples."""
    chance = lambda x: jnp.log(0.1 + 0.8 * jax.nn.sigmoid(20.0 * (x[:, 0] - 0.4)))  # noqa: E731
    plain, guided = (trained[0].sample(2000, chance, s, jax.random.key(2)) for s in (0.0, 1.0))
    share = lambda x: float((x[:, 0] > 0.4).mean())  # noqa: E731
    assert 0.4 < share(plain) < 0.6
    assert 0.8 < share(guided) < 0.97


def test_no_guide_is_a_guide_of_no_strength(trained):
    guided = trained[0].sample(50, lambda x: jnp.log(x[:, 0]), 0.0, jax.random.key(3))
    np.testing.assert_allclose(guided, trained[0].sample(50, None, 0.0, jax.random.key(3)), atol=1e-12)


def test_sums_of_groups_hold_and_zeros_are_no_obstacle():
    rng = np.random.default_rng(1)
    metal, other = rng.integers(0, 2, (2, 300))
    x = np.zeros((300, 4))
    x[np.arange(300), metal], x[np.arange(300), 2 + other] = 1 / 3, 2 / 3
    groups = LogRatios.between([[0, 1], [2, 3]], [1 / 3, 2 / 3])
    diffusion, _ = train_diffusion(jnp.asarray(x), groups, SHORT, jax.random.key(0))
    drawn = np.asarray(diffusion.sample(500, None, 0.0, jax.random.key(1)))
    np.testing.assert_allclose(drawn[:, :2].sum(axis=1), 1 / 3, atol=1e-15)
    # Nearly pure, as the corpus is, in each of the four ways.
    assert (drawn[:, :2].max(axis=1) > 0.3).mean() > 0.9
    assert len({tuple(row) for row in drawn > 0.15}) >= 4


def test_a_key_fixes_everything(trained):
    one, again, other = (trained[0].sample(5, None, 0.0, jax.random.key(k)) for k in (4, 4, 5))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


@pytest.mark.parametrize("wrong", [{"steps": 1}, {"hidden": 0}, {"floor": 0.0}, {"floor": 1.0}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(GenerationError):
        DiffusionSettings(**wrong)

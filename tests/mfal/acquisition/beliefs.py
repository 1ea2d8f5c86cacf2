"""An explicit belief from a dense joint covariance, and what every acquisition is checked against."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from mfal.acquisition.base import Known
from mfal.surrogate.base import AbstractBelief, Links, Posterior

Z_LIMIT = 4.0


class DenseBelief(AbstractBelief):
    """Everything from one covariance, as [i, l, j, k]."""

    mean: jax.Array
    covariance: jax.Array

    @property
    def own(self):
        """Covariance between the fidelities of one candidate."""
        at = jnp.arange(self.mean.shape[0])
        return self.covariance[at, :, at, :]

    def combination(self, candidates, fidelity, weights):
        """Return the covariance of a weighted sum with everything."""
        return jnp.tensordot(weights, self.covariance[candidates, fidelity], 1)

    def block(self, candidates, fidelity):
        """Return a joint covariance."""
        return self.covariance[candidates, fidelity][:, candidates, fidelity]

    def draws(self, count, fidelity, key):
        """Return joint samples by the symmetric root, which exists without any jitter."""
        values, vectors = jnp.linalg.eigh(self.covariance[:, fidelity, :, fidelity])
        normals = jax.random.normal(key, (count, values.shape[0]))
        return self.mean[:, fidelity] + normals @ (vectors * jnp.sqrt(jnp.maximum(values, 0.0))).T

    def level_covariance(self):
        """Return that no level is unknown."""
        shape = (*self.mean.shape, self.mean.shape[1])
        return jnp.zeros(shape), jnp.zeros(shape[1])

    def links(self):
        """Return that nothing is known of how fidelities relate."""
        count = self.mean.shape[1]
        return Links(jnp.zeros(count), jnp.zeros(count), jnp.zeros((count, count)), jnp.zeros((count, count)))


def posterior(mean, covariance, rows=2):
    return Posterior.of(DenseBelief(jnp.asarray(mean, float), jnp.asarray(covariance, float)), rows)


def smooth(seed=0, n=12, fidelities=3, spread=1.0):
    """Build candidates on a line, correlated along it, with fidelities of mixed sign and a part of their own."""
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(0.0, 4.0, n))
    along = np.exp(-0.5 * (x[:, None] - x) ** 2 / 0.6**2)
    loading = rng.normal(size=(fidelities, fidelities))
    across = loading @ loading.T + 0.2 * np.eye(fidelities)
    shared = np.einsum("ij,lk->iljk", along, across)
    own = np.einsum("ij,lk->iljk", 0.1 * np.eye(n), np.eye(fidelities))
    return posterior(rng.normal(size=(n, fidelities)), spread * (shared + own))


def independent(mean, cells):
    """Build independent candidates; `cells` are their (L, L) covariances."""
    cells = np.asarray(cells, float)
    n, fidelities, _ = cells.shape
    covariance = np.zeros((n, fidelities, n, fidelities))
    covariance[np.arange(n), :, np.arange(n), :] = cells
    mean = np.asarray(mean, float)
    return posterior(mean if mean.ndim == 2 else np.repeat(mean[:, None], fidelities, 1), covariance)


def cell(low_sd, target_sd, correlation):
    shared = correlation * low_sd * target_sd
    return np.array([[low_sd**2, shared], [shared, target_sd**2]])


def known(n, values=None, closed=()):
    measured, value = np.zeros(n, bool), np.zeros(n)
    for i, answer in (values or {}).items():
        measured[i], value[i] = True, answer
    return Known(jnp.asarray(measured), jnp.asarray(value), jnp.asarray(np.isin(np.arange(n), list(closed))))


def joint_samples(belief, count, seed):
    """Draw from the whole joint belief with NumPy, shape (count, n, L)."""
    mean, covariance = np.asarray(belief.mean), np.asarray(belief.belief.covariance)
    flat = covariance.reshape(mean.size, mean.size)
    values, vectors = np.linalg.eigh(flat)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    normals = np.random.default_rng(seed).normal(size=(count, mean.size))
    return (mean.ravel() + normals @ root.T).reshape(count, *mean.shape)


@eqx.filter_jit
def _worth(acquisition, belief, facts, seed):
    return acquisition(belief, facts, jax.random.key(seed))


def worth(acquisition, belief, facts, seed=0):
    return jax.tree.map(np.asarray, _worth(acquisition, belief, facts, jnp.asarray(seed)))


def assert_mean_is(samples, value):
    """Compare with brute force along the first axis, within Z_LIMIT standard errors."""
    error = samples.std(axis=0, ddof=1) / np.sqrt(samples.shape[0])
    z = np.abs(samples.mean(axis=0) - value) / np.maximum(error, 1e-9)
    assert z.max() < Z_LIMIT, z


def rearranged(belief, order, shift):
    """Return the same belief with its fidelities in another order and the means of each shifted."""
    covariance = belief.belief.covariance[:, order][:, :, :, order]
    return posterior(belief.mean[:, order] + shift, covariance)


def assert_refers_to_target(make, belief, facts, noise, target, seed=0):
    """Check that gains follow the target wherever its column stands, and ignore the level of every other column."""
    count = belief.mean.shape[1]
    reference = worth(make(jnp.asarray(noise), target), belief, facts, seed)
    order = np.roll(np.arange(count), 1)
    place = int(np.flatnonzero(order == target)[0])
    shift = np.where(np.arange(count) == place, 0.0, 1e3)
    moved = worth(make(jnp.asarray(noise)[order], place), rearranged(belief, order, shift), facts, seed)
    np.testing.assert_allclose(moved.gain, reference.gain[:, order], rtol=1e-6, atol=1e-10)
    np.testing.assert_allclose(moved.probability, reference.probability, rtol=1e-9, atol=1e-12)
    other = worth(make(jnp.asarray(noise), (target + 1) % count), belief, facts, seed)
    assert not np.allclose(other.gain, reference.gain)


def assert_sound(result):
    """Check what the protocol promises of every answer."""
    assert np.isfinite(result.gain).all() and (result.gain >= 0.0).all()
    assert ((result.probability >= 0.0) & (result.probability <= 1.0 + 1e-12)).all()


def assert_survives_degenerate_beliefs(make, target=1):
    """Check no spread, correlation 1 and -1, no noise, everything measured and everything closed."""
    cells = [cell(1.0, 1.0, 1.0), cell(1.0, 0.5, -1.0), cell(0.0, 1.0, 0.0), cell(1.0, 0.0, 0.0), cell(0.0, 0.0, 0.0)]
    beliefs = independent([0.0, 0.1, -0.2, 0.3, 0.0], cells), independent(np.zeros(5), [cell(0.0, 0.0, 0.0)] * 5)
    every = dict.fromkeys(range(5), 0.0)
    for belief in beliefs:
        for noise in ([0.0, 0.0], [0.3, 0.0], [0.0, 0.3]):
            for facts in known(5), known(5, {0: 0.0}), known(5, every), known(5, closed=range(5)):
                result = worth(make(jnp.asarray(noise), target), belief, facts)
                assert_sound(result)
                assert not result.gain[np.asarray(facts.decided), target].any()


def assert_runs_side_by_side(make, target=1):
    """Check that beliefs under `vmap`, as in simulated campaigns, get the gains that they get alone."""
    beliefs, noise = [smooth(seed, n=6, fidelities=2) for seed in (20, 21, 22)], jnp.array([0.2, 0.1])
    stacked = jax.tree.map(lambda *parts: jnp.stack(parts), *beliefs)
    acquisition, facts = make(noise, target), known(6, {1: 0.2})
    run = eqx.filter_jit(lambda chosen, belief: chosen(belief, facts, jax.random.key(0)).gain)
    together = eqx.filter_jit(eqx.filter_vmap(run, in_axes=(None, 0)))(acquisition, stacked)
    np.testing.assert_allclose(together, [run(acquisition, belief) for belief in beliefs], rtol=1e-7, atol=1e-10)

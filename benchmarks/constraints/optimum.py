"""One optimum of an acquisition over constrained designs: BoTorch's `optimize_acqf` beside ours, in one run.

Both maximise the logarithm of the expected improvement of the same Gaussian process (squared exponential, 50 answers,
hyper-parameters given) over compositions of 7, 10 and 15 elements with bounds; `linear` adds two conditions on sums of
10. BoTorch has the settings of its tutorials: 10 restarts from 512 raw samples, SLSQP under linear conditions. Ours has
64 ascents from 1024 designs. Values are of the same function in double precision; times of calls after the first.
"""

import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import torch
from botorch.acquisition import LogExpectedImprovement
from botorch.models import SingleTaskGP
from botorch.optim import optimize_acqf
from gpytorch.kernels import RBFKernel
from gpytorch.means import ZeroMean
from jax.scipy.linalg import solve_triangular
from jax.scipy.stats import norm

from benchmarks.timing import timed
from mfal.acquisition.optimise import maximise
from mfal.constraints.linear import Bounds, LinearEquality, LinearInequality
from mfal.constraints.polytope import Polytope
from mfal.types import Array, Float

SIZES = (7, 10, 15)
MIDDLE = 10
LOWER, UPPER = 0.01, 0.35
ANSWERS, LENGTHSCALE, NOISE = 50, 0.3, 1e-4
RESTARTS, RAW = 10, 512


class Surface(eqx.Module):
    """The logarithm of an expected improvement.

    Attributes:
        designs: where the answers are.
        weights: of the kernel in the mean.
        whitening: inverse of the Cholesky factor of the answers' covariance.
        best: greatest answer.
    """

    designs: Float[Array, "n d"]
    weights: Float[Array, " n"]
    whitening: Float[Array, "n n"]
    best: Float[Array, ""]

    @staticmethod
    def of(designs: np.ndarray, answers: np.ndarray) -> "Surface":
        """Condition on answers."""
        covariance = _kernel(designs[:, None], designs) + NOISE * jnp.eye(len(designs))
        whitening = solve_triangular(jnp.linalg.cholesky(covariance), jnp.eye(len(designs)), lower=True)
        weights = whitening.T @ (whitening @ answers)
        return Surface(jnp.asarray(designs), weights, whitening, jnp.max(jnp.asarray(answers)))

    def __call__(self, x: Float[Array, " d"]) -> Float[Array, ""]:
        """Return the value at a design, with the tail of Mills' ratio where the improvement is hopeless."""
        cross = _kernel(x, self.designs)
        deviation = jnp.sqrt(jnp.maximum(1.0 - jnp.sum((self.whitening @ cross) ** 2), 1e-12))
        lead = (cross @ self.weights - self.best) / deviation
        near = jnp.maximum(lead, -8.0)
        direct = jnp.log(near * norm.cdf(near) + norm.pdf(near))
        tail = -0.5 * lead**2 - 2.0 * jnp.log(jnp.minimum(lead, -1.0) * -1.0) - 0.5 * jnp.log(2.0 * jnp.pi)
        return jnp.log(deviation) + jnp.where(lead > -8.0, direct, tail)


def measure_optimum(smoke: bool) -> dict[str, float]:
    """Return times, their ratios and by how much ours is better in the worst and in the mean case."""
    seeds, sizes = (1, SIZES[:1]) if smoke else (5, SIZES)
    kinds = [("", size, _bounded(size)) for size in sizes] + [("linear_", MIDDLE, _linear(MIDDLE))] * (not smoke)
    figures: dict[str, float] = {}
    for name, size, designs in kinds:
        figures |= {f"{name}optimum_{key}_{size}d": value for key, value in _compare(designs, seeds).items()}
    ratios = [figures[key] for key in figures if key.startswith("optimum_ratio")]
    return {"optimum_ratio": min(ratios)} | figures


def _compare(designs: Polytope, seeds: int) -> dict[str, float]:
    ours, theirs, gains = [], [], []
    search = eqx.filter_jit(lambda surface, key: maximise(surface, designs, key))
    for seed in range(seeds):
        x, answers = _answered(designs, seed)
        surface, key = Surface.of(x, answers), jax.random.key(seed)
        jax.block_until_ready(search(surface, key))
        seconds, found = timed(lambda surface=surface, key=key: jax.block_until_ready(search(surface, key)))
        peer_seconds, peer = timed(lambda x=x, answers=answers, seed=seed: _botorch(designs, x, answers, seed))
        designs.check(np.asarray(found[0])[None])
        # What a solver leaves outside by its tolerance is put on the set, so that it gains nothing by it.
        reached = float(surface(designs.project(jnp.asarray(peer)[None])[0]))
        ours, theirs, gains = [*ours, seconds], [*theirs, peer_seconds], [*gains, float(found[1]) - reached]
    return {
        "ms": round(1e3 * float(np.median(ours)), 2),
        "botorch_ms": round(1e3 * float(np.median(theirs)), 1),
        "ratio": round(float(np.median(theirs) / np.median(ours)), 1),
        "least_gain_log": round(min(gains), 6),
        "mean_gain_log": round(float(np.mean(gains)), 4),
    }


def _botorch(designs: Polytope, x: np.ndarray, answers: np.ndarray, seed: int) -> np.ndarray:
    """Return the peer's optimum; the model is made here, which takes it a millisecond."""
    torch.manual_seed(seed)
    rows = lambda weights, values: [  # noqa: E731
        (torch.nonzero(row).flatten(), row[row != 0.0], float(value))
        for row, value in zip(torch.tensor(np.asarray(weights)), np.asarray(values), strict=True)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kernel = RBFKernel()
        kernel.lengthscale = torch.tensor(LENGTHSCALE)
        targets = torch.tensor(answers)[:, None]
        noise = torch.full_like(targets, NOISE)
        model = SingleTaskGP(torch.tensor(x), targets, noise, covar_module=kernel, mean_module=ZeroMean(),
                             outcome_transform=None, input_transform=None).double().eval()  # fmt: skip
        box = torch.tensor(np.stack([designs.body.lower, designs.body.upper]))
        found, _ = optimize_acqf(
            LogExpectedImprovement(model, best_f=float(answers.max())), bounds=box, q=1, num_restarts=RESTARTS,
            raw_samples=RAW, equality_constraints=rows(designs.body.equal, designs.body.totals),
            inequality_constraints=rows(designs.rows, designs.values) or None,
        )  # fmt: skip
    return found[0].detach().numpy()


def _answered(designs: Polytope, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return designs and the values there of a function drawn at 40 centres."""
    rng = np.random.default_rng(seed)
    x = np.asarray(designs.sample(ANSWERS, jax.random.key(seed)))
    centres = np.asarray(designs.sample(40, jax.random.key(seed + 1_000)))
    return x, np.asarray(_kernel(x[:, None], centres) @ rng.normal(size=40))


def _bounded(size: int) -> Polytope:
    names = [f"X{i}" for i in range(size)]
    return Polytope.simplex(names, dict.fromkeys(names, LOWER), dict.fromkeys(names, UPPER))


def _linear(size: int) -> Polytope:
    names = [f"X{i}" for i in range(size)]
    bounds = Bounds.between(names, dict.fromkeys(names, LOWER), dict.fromkeys(names, UPPER))
    half = LinearInequality.at_least(names, dict.fromkeys(names[: size // 2], 1.0), 0.4)
    price = LinearInequality.at_most(names, {name: 1.0 + i for i, name in enumerate(names)}, 0.5 * size)
    return Polytope.of(names, [bounds, LinearEquality.group(names, names), half, price])


def _kernel(a: Array | np.ndarray, b: Array | np.ndarray) -> Array:
    return jnp.exp(-0.5 * jnp.sum((a - b) ** 2, axis=-1) / LENGTHSCALE**2)

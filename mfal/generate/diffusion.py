"""Diffusion of compositions in log-ratio coordinates, steered by the gradient of a logarithm of a probability.

Sources: denoising diffusion, Ho, Jain and Abbeel 2020 (arXiv:2006.11239); cosine schedule, Nichol and Dhariwal 2021
(arXiv:2102.09672); guidance, Dhariwal and Nichol 2021 (arXiv:2105.05233), algorithm 2, with a classifier that knows
clean samples only, asked about the denoised estimate (Bansal et al. 2023, arXiv:2302.07121).

The coordinates have no boundary, so that every step is a composition, sums of groups included. Elements that are absent
get a small share, which rounding to a formula removes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
from flax import nnx

from mfal.constraints.ilr import LogRatios
from mfal.errors import GenerationError
from mfal.generate.network import Perceptron
from mfal.generate.training import Schedule, fitted
from mfal.types import Array, Float, Int, PRNGKeyArray

_SCHEDULE = Schedule(steps=8000, batch=256, learning_rate=2e-3)
# Frequencies of the network's clock, and the least share of signal: a division by none is avoided at the last step.
_CLOCK, _LEAST = 4, 1e-4

LogProbability = Callable[[Float[Array, "n d"]], Float[Array, " n"]]


@dataclass(frozen=True)
class DiffusionSettings:
    """Size and training of the diffusion.

    Attributes:
        steps: of noise.
        hidden: width of three hidden layers.
        floor: share of every composition that is spread over all components alike.
        schedule: of training.
    """

    steps: int = 100
    hidden: int = 128
    floor: float = 0.02
    schedule: Schedule = _SCHEDULE

    def __post_init__(self) -> None:
        if self.steps < 2 or self.hidden < 1 or not 0.0 < self.floor < 1.0:
            raise GenerationError(
                f"{self} diffuses nothing: give 2 steps at least, a width, and a floor between 0 and 1"
            )


class Diffusion(eqx.Module):
    """A trained diffusion.

    Attributes:
        shares: coordinates.
        centre: of the corpus in these.
        scale: one standard deviation for all coordinates.
        reach: largest scaled coordinate of the corpus.
        signal: share of the variance that is left after each step.
        graph: network without parameters.
        parameters: of the network, which predicts the noise.
    """

    shares: LogRatios
    centre: Float[Array, " k"]
    scale: Float[Array, ""]
    reach: Float[Array, ""]
    signal: Float[Array, " t"]
    graph: nnx.GraphDef = eqx.field(static=True)
    parameters: nnx.State

    def noise(self, u: Float[Array, "n k"], step: Int[Array, " n"]) -> Float[Array, "n k"]:
        """Return the predicted noise in scaled coordinates after a number of steps."""
        phase = jnp.pi * (step[:, None] + 1.0) / len(self.signal) * 2.0 ** jnp.arange(_CLOCK)
        clock = jnp.concatenate([jnp.sin(phase), jnp.cos(phase)], axis=1)
        return nnx.merge(self.graph, self.parameters)(jnp.concatenate([u, clock], axis=1))

    def designs(self, u: Float[Array, "n k"]) -> Float[Array, "n d"]:
        """Return the fractions at scaled coordinates."""
        return self.shares.designs(self.centre + self.scale * u)

    @eqx.filter_jit
    def sample(
        self, count: int, log_probability: LogProbability | None, strength: float, key: PRNGKeyArray
    ) -> Float[Array, "{count} d"]:
        """Return fractions out of noise.

        Args:
            count: how many.
            log_probability: of what is wanted, at fractions; None for the corpus as it is.
            strength: factor on its gradient; 1 samples the product of both densities, as far as they are known.
            key: of all noise.
        """
        first, rest = jax.random.split(key)
        u = jax.random.normal(first, (count, self.centre.shape[0]))
        steps = jnp.arange(len(self.signal))[::-1]

        def back(u: Array, at: tuple[Array, Array]) -> tuple[Array, None]:
            step, key = at
            return self._step_back(u, self._guided(u, step, log_probability, strength), step, key), None

        u, _ = jax.lax.scan(back, u, (steps, jax.random.split(rest, len(self.signal))))
        return self.designs(u)

    def _guided(
        self, u: Float[Array, "n k"], step: Int[Array, ""], wanted: LogProbability | None, strength: float
    ) -> Float[Array, "n k"]:
        """Return the predicted noise, less what leads to where the gradient points."""
        noise = self.noise(u, jnp.full(u.shape[0], step))
        if wanted is None:
            return noise

        def asked(u: Array) -> Array:
            return jnp.sum(wanted(self.designs(self._clean(u, self.noise(u, jnp.full(u.shape[0], step)), step))))

        gradient = jax.grad(asked)(u)
        return noise - strength * jnp.sqrt(1.0 - self.signal[step]) * gradient

    def _step_back(
        self, u: Float[Array, "n k"], noise: Float[Array, "n k"], step: Int[Array, ""], key: PRNGKeyArray
    ) -> Float[Array, "n k"]:
        """Draw what was there one step of noise earlier."""
        now, before = self.signal[step], jnp.where(step > 0, self.signal[step - 1], 1.0)
        clean = self._clean(u, noise, step)
        noise = (u - jnp.sqrt(now) * clean) / jnp.sqrt(1.0 - now)
        variance = (1.0 - before) / (1.0 - now) * (1.0 - now / before)
        mean = jnp.sqrt(before) * clean + jnp.sqrt(jnp.maximum(1.0 - before - variance, 0.0)) * noise
        return mean + jnp.sqrt(variance) * jax.random.normal(key, u.shape)

    def _clean(self, u: Float[Array, "n k"], noise: Float[Array, "n k"], step: Int[Array, ""]) -> Float[Array, "n k"]:
        """Return the estimate of what there was before all noise, no further out than the corpus."""
        now = self.signal[step]
        return jnp.clip((u - jnp.sqrt(1.0 - now) * noise) / jnp.sqrt(now), -self.reach, self.reach)


@eqx.filter_jit
def train_diffusion(
    x: Float[Array, "n d"], shares: LogRatios, settings: DiffusionSettings, key: PRNGKeyArray
) -> tuple[Diffusion, Float[Array, " steps"]]:
    """Return a diffusion of compositions and its loss at every step.

    Args:
        x: fractions of the corpus, with the sums of the coordinates' groups.
        shares: coordinates.
        settings: sizes and training.
        key: of the first parameters, the batches and the noise.
    """
    first, rest = jax.random.split(key)
    start = _untrained(x, shares, settings, first)
    data = (shares.coordinates(_floored(x, shares, settings.floor)) - start.centre) / start.scale

    def loss(parameters: nnx.State, batch: Array, key: PRNGKeyArray) -> Array:
        return _misfit(_with(start, parameters), batch, key)

    parameters, losses = fitted(loss, start.parameters, data, settings.schedule, rest)
    return _with(start, parameters), losses


def _untrained(x: Float[Array, "n d"], shares: LogRatios, settings: DiffusionSettings, key: PRNGKeyArray) -> Diffusion:
    coordinates = shares.coordinates(_floored(x, shares, settings.floor))
    size = coordinates.shape[1]
    widths = (size + 2 * _CLOCK, settings.hidden, settings.hidden, settings.hidden, size)
    graph, parameters = nnx.split(Perceptron(widths, nnx.Rngs(key)), nnx.Param)
    time = jnp.arange(1, settings.steps + 1) / settings.steps
    signal = jnp.maximum(jnp.cos(0.5 * jnp.pi * (time + 0.008) / 1.008) ** 2, _LEAST)
    centre, scale = jnp.mean(coordinates, axis=0), jnp.std(coordinates)
    reach = jnp.max(jnp.abs(coordinates - centre)) / scale
    return Diffusion(shares, centre, scale, reach, signal, graph, parameters)


def _floored(x: Float[Array, "n d"], shares: LogRatios, floor: float) -> Float[Array, "n d"]:
    """Return compositions without zeros: a part of each is what no coordinates stand for, all components alike."""
    alike = shares.designs(jnp.zeros((1, shares.basis.shape[1])))
    return (1.0 - floor) * x + floor * alike


def _misfit(diffusion: Diffusion, u: Float[Array, "n k"], key: PRNGKeyArray) -> Float[Array, ""]:
    """Return the mean squared error of the noise, each row after a number of steps of its own."""
    chosen, drawn = jax.random.split(key)
    step = jax.random.randint(chosen, (u.shape[0],), 0, len(diffusion.signal))
    left, noise = diffusion.signal[step][:, None], jax.random.normal(drawn, u.shape)
    found = diffusion.noise(jnp.sqrt(left) * u + jnp.sqrt(1.0 - left) * noise, step)
    return jnp.mean((found - noise) ** 2)


def _with(diffusion: Diffusion, parameters: nnx.State) -> Diffusion:
    return eqx.tree_at(lambda one: one.parameters, diffusion, parameters)

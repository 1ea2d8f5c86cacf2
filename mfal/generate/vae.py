"""A variational autoencoder of compositions; what its samples satisfy is decided by its head.

Source: Kingma and Welling 2014 (arXiv:1312.6114), with a Gaussian of fixed width around the head's output.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
from flax import nnx

from mfal.errors import GenerationError
from mfal.generate.heads import AbstractHead
from mfal.generate.network import Perceptron
from mfal.generate.training import Schedule, fitted
from mfal.types import Array, Float, PRNGKeyArray

_SCHEDULE = Schedule()


@dataclass(frozen=True)
class VaeSettings:
    """Size and training of the autoencoder.

    Attributes:
        latent: dimensions of the latent space.
        hidden: width of two hidden layers on either side.
        spread: standard deviation of a fraction about the decoder's output; smaller ones reconstruct more sharply and
            leave more of the latent space empty.
        schedule: of training.
    """

    latent: int = 16
    hidden: int = 64
    spread: float = 0.02
    schedule: Schedule = _SCHEDULE

    def __post_init__(self) -> None:
        if self.latent < 1 or self.hidden < 1 or not self.spread > 0.0:
            raise GenerationError(f"{self} is no autoencoder: give sizes from 1 on and a spread above 0")


class Autoencoder(nnx.Module):
    """Encoder and decoder networks."""

    def __init__(self, components: int, width: int, settings: VaeSettings, rngs: nnx.Rngs):
        """Build both for some components and as many free numbers as a head takes."""
        hidden: Sequence[int] = (settings.hidden, settings.hidden)
        self.encoder = Perceptron((components, *hidden, 2 * settings.latent), rngs)
        self.decoder = Perceptron((settings.latent, *hidden, width), rngs)


class Vae(eqx.Module):
    """A trained autoencoder.

    Attributes:
        graph: networks without parameters.
        parameters: of both.
        head: of the decoder.
        latent: dimensions of the latent space.
    """

    graph: nnx.GraphDef = eqx.field(static=True)
    parameters: nnx.State
    head: AbstractHead
    latent: int = eqx.field(static=True)

    @staticmethod
    def untrained(components: int, head: AbstractHead, settings: VaeSettings, key: PRNGKeyArray) -> "Vae":
        """Return an autoencoder with random parameters."""
        network = Autoencoder(components, head.width, settings, nnx.Rngs(key))
        graph, parameters = nnx.split(network, nnx.Param)
        return Vae(graph, parameters, head, settings.latent)

    def encode(self, x: Float[Array, "n d"]) -> tuple[Float[Array, "n k"], Float[Array, "n k"]]:
        """Return mean and logarithm of the variance of each composition's latent."""
        mean, log_variance = jnp.split(nnx.merge(self.graph, self.parameters).encoder(x), 2, axis=1)
        return mean, log_variance

    def free(self, z: Float[Array, "n k"]) -> Float[Array, "n w"]:
        """Return the numbers that the head is given."""
        return nnx.merge(self.graph, self.parameters).decoder(z)

    def decode(self, z: Float[Array, "n k"]) -> Float[Array, "n d"]:
        """Return the fractions at latents."""
        return self.head.fractions(self.free(z))

    def reconstruct(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """Return what compositions come back as, from the mean of their latents."""
        return self.decode(self.encode(x)[0])

    def sample(self, count: int, key: PRNGKeyArray) -> Float[Array, "{count} d"]:
        """Return fractions decoded from the prior, a standard normal."""
        return self.decode(jax.random.normal(key, (count, self.latent)))

    def loss(self, x: Float[Array, "n d"], spread: float, key: PRNGKeyArray) -> Float[Array, ""]:
        """Return the negative evidence lower bound in nats, less a constant, as a mean over rows with one draw each."""
        mean, log_variance = self.encode(x)
        z = mean + jnp.exp(0.5 * log_variance) * jax.random.normal(key, mean.shape)
        misfit = jnp.sum((self.head.outputs(self.free(z)) - x) ** 2, axis=1) / (2.0 * spread**2)
        divergence = 0.5 * jnp.sum(mean**2 + jnp.exp(log_variance) - 1.0 - log_variance, axis=1)
        return jnp.mean(misfit + divergence)


@eqx.filter_jit
def train_vae(
    x: Float[Array, "n d"], head: AbstractHead, settings: VaeSettings, key: PRNGKeyArray
) -> tuple[Vae, Float[Array, " steps"]]:
    """Return an autoencoder of compositions and its loss at every step.

    Args:
        x: fractions of the corpus.
        head: last layer of the decoder.
        settings: sizes and training.
        key: of the first parameters, the batches and the latents.
    """
    first, rest = jax.random.split(key)
    start = Vae.untrained(x.shape[1], head, settings, first)

    def loss(parameters: nnx.State, batch: Array, key: PRNGKeyArray) -> Array:
        return _with(start, parameters).loss(batch, settings.spread, key)

    parameters, losses = fitted(loss, start.parameters, x, settings.schedule, rest)
    return _with(start, parameters), losses


def _with(vae: Vae, parameters: nnx.State) -> Vae:
    return Vae(vae.graph, parameters, vae.head, vae.latent)

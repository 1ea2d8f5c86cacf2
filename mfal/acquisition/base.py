"""The acquisition protocol: worth of every query in EUR."""

from abc import abstractmethod

import equinox as eqx

from mfal.surrogate.base import Posterior
from mfal.types import Array, Bool, Float, PRNGKeyArray


class Known(eqx.Module):
    """Target answers that are already in hand.

    Attributes:
        measured: candidates with an answer at the target, shape (candidates,).
        value: those answers, zero elsewhere.
        closed: candidates that can no longer be measured (the target failed for them).
    """

    measured: Bool[Array, " n"]
    value: Float[Array, " n"]
    closed: Bool[Array, " n"]


class Worth(eqx.Module):
    """What an acquisition says of every candidate.

    Attributes:
        gain_eur: expected gain of each query before its price, shape (candidates, fidelities).
        probability: that the candidate is a hit, shape (candidates,).
    """

    gain_eur: Float[Array, "n L"]
    probability: Float[Array, " n"]


class AbstractAcquisition(eqx.Module):
    """Turns a posterior into money."""

    @abstractmethod
    def __call__(self, posterior: Posterior, known: Known, key: PRNGKeyArray) -> Worth:
        """Return the worth of every query; deterministic for a given key."""

"""From the question in a campaign file to the acquisition that answers it."""

import jax.numpy as jnp

from mfal.acquisition.base import AbstractAcquisition
from mfal.acquisition.best_value import BestValue
from mfal.acquisition.confidence import ConfidenceBound
from mfal.acquisition.entropy import MaxValueEntropy
from mfal.acquisition.improvement import ExpectedImprovement
from mfal.acquisition.improvement_value import ImprovementValue
from mfal.acquisition.knowledge_gradient import KnowledgeGradient
from mfal.acquisition.maxima import JointMaxima
from mfal.acquisition.thompson import ThompsonSampling
from mfal.acquisition.window import WindowInformation
from mfal.acquisition.window_value import WindowValue
from mfal.campaign.config import CampaignConfig
from mfal.types import Array, Float

# Squared width of the confidence bound: two standard deviations.
BETA = 4.0


def build_acquisition(config: CampaignConfig) -> AbstractAcquisition:
    """Return the acquisition of a campaign."""
    target, noise_variance = config.ladder.target_index, _noise_variance(config)
    sign = jnp.asarray(-1.0 if config.campaign.best == "highest" else 1.0)
    match config.model.acquisition:
        case "value":
            return _value(config, noise_variance, sign)
        case "entropy":
            return MaxValueEntropy(noise_variance, sign, JointMaxima(), target)
        case "improvement":
            return ExpectedImprovement(noise_variance, sign, target)
        case "confidence_bound":
            return ConfidenceBound(jnp.asarray(BETA), noise_variance, sign, target)
        case "thompson":
            return ThompsonSampling(noise_variance, sign, target)
        case "knowledge_gradient":
            return KnowledgeGradient(noise_variance, sign, target)
        case "window_information":
            low, high = _window(config)
            return WindowInformation(low, high, noise_variance, target)


def _value(config: CampaignConfig, noise_variance: Float[Array, " L"], sign: Float[Array, ""]) -> AbstractAcquisition:
    question, ladder = config.campaign, config.ladder
    target = ladder.fidelities[ladder.target_index]
    # A measurement also costs the wait for it.
    price = jnp.asarray(target.price_eur + question.waiting_eur_per_hour * target.latency_hours)
    if question.value_per_unit_eur is not None:
        value, incumbent = jnp.asarray(question.value_per_unit_eur), jnp.asarray(config.property.typical_value)
        return ImprovementValue(value, price, noise_variance, incumbent, sign, ladder.target_index)
    value = jnp.asarray(question.value_of_hit_eur)
    wanted = jnp.asarray(jnp.inf if question.wanted is None else 1.0 * question.wanted)
    if question.top is None:
        low, high = _window(config)
        return WindowValue(value, price, noise_variance, low, high, wanted, ladder.target_index)
    return BestValue(value, price, noise_variance, sign, wanted, ladder.target_index, question.top)


def _window(config: CampaignConfig) -> tuple[Float[Array, ""], Float[Array, ""]]:
    assert config.campaign.window is not None, "the campaign file was checked"
    low, high = config.campaign.window
    return jnp.asarray(low), jnp.asarray(high)


def _noise_variance(config: CampaignConfig) -> Float[Array, " L"]:
    return jnp.array([rung.noise_sd**2 for rung in config.ladder.fidelities], dtype=jnp.float64)

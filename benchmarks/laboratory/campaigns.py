"""One campaign in a simulated laboratory, with or without what copes with its failures; no ledger, else as live."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from benchmarks.laboratory.worlds import World, failures
from mfal.campaign import history
from mfal.campaign.build import build_policy, build_surrogate
from mfal.campaign.config import CampaignConfig, parse
from mfal.campaign.history import Progress, Rules
from mfal.campaign.policy import initial_state
from mfal.campaign.success import expected_prices_eur
from mfal.dataset import empty_dataset
from mfal.fidelity import Ladder
from mfal.ledger.replay import observation_payload
from mfal.oracle import Observation
from physics.experiment.laboratory import FURNACE, USUAL_LINE, Instrument, Laboratory
from physics.simulated_laboratory import SimulatedLaboratory, elemental_recipe, truth_of

ATTEMPT_EUR, BUDGET_EUR, SLOTS = 300.0, 7500.0, 6
# Standard deviation of one reading, in spreads.
READING = 0.08
# Alloys are homogenised for five days, so that a campaign goes on for two months or so.
LINE = replace(USUAL_LINE, stations=tuple(
    replace(one, minutes=5 * 24 * 60) if one.name == FURNACE else one for one in USUAL_LINE.stations
))  # fmt: skip
# A share of the answers that may be mistaken, as a group would guess it.
MISTAKEN = 0.1


@dataclass(frozen=True)
class Coping:
    """What the campaign makes use of.

    Attributes:
        standards: of every plate, against batch offsets and drift.
        doubt: that answers may be mistaken.
        attempts: that failed, in what an answer is expected to cost.
    """

    standards: bool
    doubt: bool
    attempts: bool


FULL, NONE = Coping(True, True, True), Coping(False, False, False)


def regret(world: World, mode: str, coping: Coping, seed: int) -> float:
    """Return by how much the alloy that would be recommended is softer than the hardest that can be made, in spreads.

    Averaged over the answers of the campaign: after each, the measured alloy that is believed to be hardest.
    """
    total, answers = 0.0, 0
    simulated = laboratory(world, mode, seed)
    for progress, fresh in campaign(world, simulated, coping, seed):
        total, answers = total + fresh * _missed(world, simulated, progress), answers + fresh
    return total / answers


def _missed(world: World, simulated: Laboratory, progress: Progress) -> float:
    """Return by how much the measured material believed to be best misses the best that can be made, in spreads."""
    rank = np.array([simulated.truth.rank[name] for name in world.pool.ids])
    refused = simulated.failures.refused
    possible = rank >= (refused.share if refused else 0.0)
    best, measured = world.value[possible].max(), np.asarray(progress.state.dataset.observed[:, 0])
    if not measured.any():
        return float(best - world.value.mean()) / world.spread
    believed = np.where(measured, np.asarray(progress.state.belief.mean[:, 0]), -np.inf)
    return max(0.0, float(best - world.value[int(believed.argmax())])) / world.spread


def laboratory(world: World, mode: str, seed: int) -> Laboratory:
    """Return the laboratory of one seed; what happens to a sample is the same for every arm."""
    recipes = {name: elemental_recipe(name, 1400.0, 480.0, "Ar", "alumina crucible") for name in world.pool.ids}
    instrument = Instrument(READING * world.spread, standards=3, certified=float(np.round(world.value.mean())))
    truth, wrong = truth_of(world.pool, world.value, seed), failures(mode, world.spread)
    return Laboratory(seed, truth, recipes.__getitem__, instrument, LINE, failures=wrong)


def campaign(world: World, simulated: Laboratory, coping: Coping, seed: int) -> Iterator[tuple[Progress, int]]:
    """Yield the progress after each landing, with the number of answers in it."""
    rules = _rules(world, coping, seed)
    with tempfile.TemporaryDirectory() as folder:
        oracle = SimulatedLaboratory("hardness", simulated, Path(folder) / "laboratory.jsonl")
        progress = Progress(rules.first)
        while True:
            progress = _decided(rules, progress, oracle, coping)
            if not progress.flights:
                return
            before = len(progress.observations)
            progress = _landed(rules, progress, oracle, coping)
            yield progress, len(progress.observations) - before


def _decided(rules: Rules, progress: Progress, oracle: SimulatedLaboratory, coping: Coping) -> Progress:
    if coping.attempts:
        prices = expected_prices_eur(rules.ladder.fidelities[0], rules.pool, progress.observations)
        moved = history.moved_prices(rules, progress, "hardness", prices)
        progress = history.after_prices(rules, progress, {"fidelity": "hardness", "expected_eur": moved})
    in_flight = len(progress.flights)
    progress = history.after_decision(rules, progress, history.decide(rules, progress))
    oracle.advance(progress.hours)
    oracle.submit([flight.query for flight in progress.flights[in_flight:]])
    return progress


def _landed(rules: Rules, progress: Progress, oracle: SimulatedLaboratory, coping: Coping) -> Progress:
    hours = min(oracle.due_hours().values())
    oracle.advance(hours)
    answers = [_told(one, coping) for one in oracle.collect()]
    payloads = [{**observation_payload(one), "hours": hours} for one in answers]
    return history.after_observations(rules, progress, payloads)


def _told(observation: Observation, coping: Coping) -> Observation:
    """Return the observation with what the arm makes use of."""
    kept = [key for key, use in (("readings", coping.standards), ("attempts", coping.attempts)) if use]
    return replace(observation, details={key: observation.details[key] for key in kept if key in observation.details})


def _rules(world: World, coping: Coping, seed: int) -> Rules:
    config, pool = _config(world, coping), world.pool
    policy = build_policy(config, pool)
    surrogate = build_surrogate(config, jnp.asarray(pool.features))
    first = initial_state(surrogate, empty_dataset(len(pool), 1))
    ladder: Ladder = config.ladder
    return Rules(policy, first, ladder, pool, seed)


def _config(world: World, coping: Coping) -> CampaignConfig:
    return parse(
        {
            "campaign": {
                "name": "simulated", "seed": 0, "budget_eur": BUDGET_EUR, "best": "highest", "top": 3,
                "value_of_hit_eur": 1e3 * ATTEMPT_EUR, "failure_limit": 1000,
            },
            "property": {"name": "hardness", "unit": "HV", "typical_value": float(np.round(world.value.mean())),
                         "typical_spread": world.spread},
            "candidates": {"source": "alloys"},
            "fidelity": [
                {"name": "hardness", "oracle": "simulated_laboratory", "price_eur": ATTEMPT_EUR, "latency_hours": 168.0,
                 "capacity": SLOTS, "noise_sd": READING * world.spread, "target": True,
                 "mistaken_share": MISTAKEN if coping.doubt else 0.0}
            ],
        },
        Path("laboratory"),
    )  # fmt: skip


def mean_regrets(world_of: Sequence[World], mode: str, coping: Coping) -> np.ndarray:
    """Return the regret in each of the worlds."""
    return np.array([regret(one, mode, coping, seed) for seed, one in enumerate(world_of)])

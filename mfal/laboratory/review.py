"""The review queue: what waits for a person, the least certain first; the obvious is decided by rule, and said so."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from mfal.campaign.config import CampaignConfig
from mfal.campaign.record import recorded_observations, stuck_fidelities
from mfal.laboratory.batch import refused_requests
from mfal.laboratory.oracle import workflow_success
from mfal.laboratory.requests import Request, requests
from mfal.laboratory.told import Revision, Told
from mfal.ledger.event import Event
from mfal.space.pool import Pool

# Contaminated normal of Box and Tiao, 10.1093/biomet/55.1.119: one answer in twenty has five times the deviation.
WRONG_SHARE, WRONG_WIDTH = 0.05, 5.0
# Results that are wrong with less probability than this need nobody.
OBVIOUS = 0.1


@dataclass(frozen=True)
class Item:
    """Something that waits for a person.

    Attributes:
        id: of the request, or ``fidelity:NAME``.
        kind: ``outlier``, ``exchanged``, ``step``, ``constraint`` or ``escalation``.
        uncertainty_bits: entropy of the question whether something is wrong; 1 where nothing is known.
        reason: in words.
        key: of the query, where the item is one.
    """

    id: str
    kind: str
    uncertainty_bits: float
    reason: str
    key: str | None


@dataclass(frozen=True)
class Reviewed:
    """What is known of a result; success is the machine's to say, novelty a person's.

    Attributes:
        id: of the request.
        value: in the property's unit; None for a failure.
        workflow_success: a value, and every reported step succeeded.
        scientific_novelty: as signed; None where no person has said anything.
        decided: ``automatically``, ``waiting``, or by whom.
        reason: of the decision, in words.
    """

    id: str
    value: float | None
    workflow_success: bool
    scientific_novelty: bool | None
    decided: str
    reason: str


@dataclass(frozen=True)
class Triage:
    """The review queue, most uncertain first, and where every result stands."""

    waiting: tuple[Item, ...]
    results: tuple[Reviewed, ...]


def triage(config: CampaignConfig, events: Sequence[Event], pool: Pool, told: Told) -> Triage:
    """Return what waits for a person and what was decided without one."""
    asked = requests(config, events)
    answered = [(one, newest) for one in asked.values() if (newest := told.newest(one.key)) is not None]
    doubts = {one.id: item for one, newest in answered if (item := _doubt(config, one, newest)) is not None}
    doubts |= _exchanged(config, answered, doubts)
    open_ = [one for one in asked.values() if not one.answered and told.newest(one.key) is None]
    refused = refused_requests(config, pool, told, open_)
    items = [*doubts.values(), *(_refused(one, refused[one.id]) for one in open_ if one.id in refused)]
    items += _escalations(config, events)
    waiting = sorted((item for item in items if item.id not in told.settled), key=lambda i: (-i.uncertainty_bits, i.id))
    return Triage(tuple(waiting), tuple(_reviewed(config, one, newest, doubts, told) for one, newest in answered))


def wrong_probability(deviation: float) -> float:
    """Return the probability that an answer is wrong, given its deviation from the belief in standard deviations."""
    sound = (1.0 - WRONG_SHARE) * math.exp(-0.5 * deviation**2)
    wrong = WRONG_SHARE / WRONG_WIDTH * math.exp(-0.5 * (deviation / WRONG_WIDTH) ** 2)
    return wrong / (wrong + sound) if wrong + sound > 0.0 else 1.0


def entropy_bits(probability: float) -> float:
    """Return the entropy of a yes-or-no question."""
    return -sum(p * math.log2(p) for p in (probability, 1.0 - probability) if p > 0.0)


def _doubt(config: CampaignConfig, one: Request, newest: Revision) -> Item | None:
    failed = sorted(step for step, succeeded in newest.result.steps.items() if not succeeded)
    if newest.result.value is None:
        return None
    if failed:
        return Item(one.id, "step", 1.0, f"there is a value although the steps {failed} failed", one.key)
    deviation = _deviation(config, one, newest, one)
    wrong = None if deviation is None else wrong_probability(deviation)
    if wrong is None or wrong < OBVIOUS:
        return None
    text = (f"{newest.result.value:.4g} where {one.mean:.4g} ± {one.sd:.2g} was predicted, {deviation:.1f} deviations "
            f"away: wrong with probability {wrong:.2f}")  # fmt: skip
    return Item(one.id, "outlier", entropy_bits(wrong), text, one.key)


def _exchanged(
    config: CampaignConfig, answered: Sequence[tuple[Request, Revision]], doubts: Mapping[str, Item]
) -> dict[str, Item]:
    """Return pairs of outliers that would both be ordinary if they were exchanged."""
    found = {}
    outliers = [(one, newest) for one, newest in answered if one.id in doubts and doubts[one.id].kind == "outlier"]
    for (a, of_a), (b, of_b) in combinations(outliers, 2):
        crossed = [_deviation(config, a, of_b, b), _deviation(config, b, of_a, a)]
        if a.fidelity == b.fidelity and all(d is not None and wrong_probability(d) < OBVIOUS for d in crossed):
            for one, other in ((a, b), (b, a)):
                text = f"{doubts[one.id].reason}; exchanged with {other.id} both would be as predicted"
                found[one.id] = Item(one.id, "exchanged", 1.0, text, one.key)
    return found


def _deviation(config: CampaignConfig, one: Request, revision: Revision, of: Request) -> float | None:
    """Return how far a value lies from what was predicted; only the target has a prediction in the ledger."""
    value = revision.result.value
    if one.fidelity.name != config.ladder.target or value is None:
        return None
    spread = math.hypot(one.sd, of.fidelity.sd_of(revision.result.noise_sd))
    return abs(value - one.mean) / (spread or math.ulp(0.0))


def _refused(one: Request, reason: str) -> Item:
    return Item(one.id, "constraint", 1.0, f"not handed out: {reason}", one.key)


def _escalations(config: CampaignConfig, events: Sequence[Event]) -> list[Item]:
    limit = config.campaign.failure_limit
    stuck = stuck_fidelities(config.ladder, recorded_observations(events), limit)
    text = "failed {} times in a row, last {}; not asked any more until a result is corrected"
    return [
        Item(f"fidelity:{name}", "escalation", 1.0, text.format(limit, last.failure), None)
        for name, last in stuck.items()
    ]


def _reviewed(
    config: CampaignConfig, one: Request, newest: Revision, doubts: Mapping[str, Item], told: Told
) -> Reviewed:
    novelty = told.novelty(one.id)
    if one.id in told.settled:
        last = next(signature for signature in reversed(told.signatures) if signature.item == one.id)
        decided, reason = last.by, f"{'accepted' if last.accept else 'rejected'}: {last.note}"
    elif one.id in doubts:
        decided, reason = "waiting", doubts[one.id].reason
    else:
        decided, reason = "automatically", _obvious(config, one, newest)
    novel = None if novelty is None else novelty.scientific_novelty
    return Reviewed(one.id, newest.result.value, workflow_success(newest), novel, decided, reason)


def _obvious(config: CampaignConfig, one: Request, newest: Revision) -> str:
    if newest.result.value is None:
        return f"a failure: {newest.result.failure}"
    deviation = _deviation(config, one, newest, one)
    if deviation is None:
        return "no step failed, and nothing was predicted for this fidelity"
    return f"{deviation:.1f} deviations from the prediction: wrong with probability {wrong_probability(deviation):.2f}"

"""How a campaign did against the revealed truth, and against what a group would do without it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mfal.baselines.funnel import corrected_order, curve, eur_to_reach, funnel_order
from mfal.baselines.random import expected_eur
from mfal.campaign.config import CampaignConfig
from mfal.campaign.goal import Goal, goal
from mfal.campaign.record import paid_by_fidelity
from mfal.oracle import Observation


@dataclass(frozen=True)
class Score:
    """What was there to be found, what was found, and what that costs otherwise.

    What is *reached* counts hits; where the question is of improvement it is the best value.

    Attributes:
        hits: what was looked for, best first; the single best candidate if the question is of improvement.
        found: those that the campaign measured.
        reached: hits found, or the best true value among the candidates measured; None if nothing was measured.
        possible: the most that could be reached.
        sign: +1 if more is better, -1 if less is.
        as_good: candidates any of which reaches as much as the campaign did, for the other strategies.
        needed: how many of them those have to find.
        values: true values of all candidates that have one, best first.
        screening: name of the screening fidelity.
        funnel: (EUR, reached) while measuring down its ranking; empty if not all was screened.
        eur_funnel: what the funnel pays to reach as much; None if it never does.
        eur_random: what measuring at random pays for as much, on average.
    """

    hits: tuple[str, ...]
    found: tuple[str, ...]
    reached: float | None
    possible: float
    sign: float
    as_good: frozenset[str]
    needed: int
    values: tuple[float, ...]
    screening: str
    funnel: tuple[tuple[float, float], ...]
    eur_funnel: float | None
    eur_random: float


def score(
    config: CampaignConfig, pool_size: int, observations: Sequence[Observation], truth: Mapping[str, float]
) -> Score:
    """Return the score of a campaign whose target is a replay.

    Args:
        config: of the campaign.
        pool_size: candidates.
        observations: so far.
        truth: target values of the candidates that have one.
    """
    asked, ladder = goal(config), config.ladder
    known = {candidate: value for candidate, value in truth.items() if math.isfinite(value)}
    target, screening = ladder[ladder.target], min(ladder.fidelities, key=lambda rung: rung.price_eur)
    done = [o.candidate for o in observations if o.fidelity == target.name and o.value is not None]
    hits = asked.hits(known)
    reach = _reach(asked, known, frozenset(hits))
    as_good = frozenset(_as_good(asked, known, done)) if asked.improves else frozenset(hits)
    needed = min(1, len(done)) if asked.improves else len(as_good & set(done))
    screened = {o.candidate: o.value for o in observations if o.fidelity == screening.name and o.value is not None}
    complete = sum(o.fidelity == screening.name for o in observations) == pool_size and screening.name != target.name
    order = corrected_order(screened, known, asked.merit) if asked.window else funnel_order(screened, asked.merit)
    screen_eur = paid_by_fidelity(observations).get(screening.name, 0.0)
    points = curve(order, reach, screen_eur, target.price_eur) if complete else []
    counted = curve(order, lambda names: len(as_good & set(names)), screen_eur, target.price_eur)
    return Score(
        hits=hits,
        found=tuple(candidate for candidate in hits if candidate in done),
        reached=reach(done) if done or not asked.improves else None,
        possible=reach(list(hits)),
        sign=-asked.sign if asked.improves else 1.0,
        as_good=as_good,
        needed=needed,
        values=tuple(sorted(known.values(), key=asked.merit)),
        screening=screening.name,
        funnel=tuple(points),
        eur_funnel=eur_to_reach(counted, needed) if complete else None,
        eur_random=expected_eur(needed, len(as_good), len(known), target.price_eur),
    )


def _reach(asked: Goal, known: Mapping[str, float], hits: frozenset[str]):
    """Return the function from candidates measured to what they reach."""
    if not asked.improves:
        return lambda names: float(len(hits & set(names)))
    return lambda names: min((known[name] for name in names if name in known), key=asked.merit, default=math.nan)


def _as_good(asked: Goal, known: Mapping[str, float], done: Sequence[str]) -> list[str]:
    best = min((asked.merit(known[name]) for name in done if name in known), default=math.inf)
    return [name for name, value in known.items() if asked.merit(value) <= best]

"""The figures of a campaign, read off its ledger."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mfal.baselines.funnel import eur_to_find, funnel_curve, funnel_order
from mfal.baselines.random import expected_eur
from mfal.campaign.config import CampaignConfig
from mfal.campaign.history import Progress, Rules, recorded_observation
from mfal.campaign.loop import paid_by_fidelity
from mfal.ledger.event import Event, EventKind
from mfal.oracle import Observation

# Half-width of a central 90 % interval in standard deviations.
_NINETY = 1.6449


@dataclass(frozen=True)
class Measured:
    """One candidate measured at the target.

    Attributes:
        candidate: its id.
        value: measured, None if the measurement failed.
        noise_sd: reported uncertainty.
        predicted: mean of the prediction when the measurement was decided.
        half_width: of the 90 % interval for the measured value at that time.
        probability: of being a hit at that time.
        spent_eur: on this candidate, over all fidelities.
        hours: on the campaign's clock when the answer came.
        total_eur: spent by the whole campaign up to and including the answer.
    """

    candidate: str
    value: float | None
    noise_sd: float | None
    predicted: float
    half_width: float
    probability: float
    spent_eur: float
    hours: float
    total_eur: float


@dataclass(frozen=True)
class Score:
    """How the campaign did against the revealed truth and against what a group would do without it.

    Attributes:
        hits: the true best, best first.
        found: those that the campaign measured.
        funnel: (EUR, hits) while measuring down the ranking of the screening fidelity; empty if not all was screened.
        screening: name of that fidelity.
        eur_funnel: what the funnel pays to find as many; None if it never does.
        eur_random: what measuring at random pays for as many, on average.
    """

    hits: tuple[str, ...]
    found: tuple[str, ...]
    funnel: tuple[tuple[float, int], ...]
    screening: str
    eur_funnel: float | None
    eur_random: float


@dataclass(frozen=True)
class Summary:
    """Everything that the final table and the page show; `score` needs a replayed target."""

    config: CampaignConfig
    stopped: str | None
    hours: float
    spent_eur: float
    paid: Mapping[str, float]
    asked: Mapping[str, int]
    failed: Mapping[str, int]
    measured: tuple[Measured, ...]
    score: Score | None

    @property
    def sign(self) -> float:
        """+1 if low values are best."""
        return 1.0 if self.config.campaign.best == "lowest" else -1.0

    @property
    def ranked(self) -> list[Measured]:
        """Measured candidates, best first, failures last."""
        return sorted(self.measured, key=lambda m: math.inf if m.value is None else self.sign * m.value)


def summarise(
    rules: Rules, config: CampaignConfig, progress: Progress, events: Sequence[Event], truth: Mapping[str, float] | None
) -> Summary:
    """Return the figures of a campaign.

    Args:
        rules: of the campaign.
        config: of the campaign.
        progress: after all `events`.
        events: of its ledger.
        truth: target values of all candidates where the target is a replay; reveals the score.
    """
    names = rules.ladder.names
    summary = Summary(
        config=config,
        stopped=progress.stopped,
        hours=progress.hours,
        spent_eur=float(progress.state.spent_eur),
        paid={name: paid_by_fidelity(progress.observations).get(name, 0.0) for name in names},
        asked={name: sum(o.fidelity == name for o in progress.observations) for name in names},
        failed={
            name: sum(o.fidelity == name and o.failure is not None for o in progress.observations) for name in names
        },
        measured=tuple(_measured(rules, progress, events)),
        score=None,
    )
    return summary if truth is None else _scored(summary, rules, progress.observations, truth)


def _measured(rules: Rules, progress: Progress, events: Sequence[Event]) -> list[Measured]:
    target = rules.ladder[rules.ladder.target]
    decided = {
        query["candidate"]: query
        for event in events if event.kind == EventKind.DECISION
        for query in event.payload["queries"] if query["fidelity"] == target.name
    }  # fmt: skip
    spent: dict[str, float] = {}
    for observation in progress.observations:
        spent[observation.candidate] = spent.get(observation.candidate, 0.0) + observation.price_eur
    rows, total = [], 0.0
    for event in events:
        if event.kind != EventKind.OBSERVATION:
            continue
        observation = recorded_observation(event.payload)
        total += observation.price_eur
        if observation.fidelity == target.name:
            rows.append(_row(observation, decided[observation.candidate], target.noise_sd, spent, event, total))
    return rows


def _row(
    observation: Observation, query: Mapping, noise_sd: float, spent: Mapping, event: Event, total: float
) -> Measured:
    return Measured(
        candidate=observation.candidate,
        value=observation.value,
        noise_sd=observation.noise_sd,
        predicted=query["mean"],
        half_width=_NINETY * math.hypot(query["sd"], observation.noise_sd or noise_sd),
        probability=query["probability"],
        spent_eur=spent[observation.candidate],
        hours=event.payload["hours"],
        total_eur=total,
    )


def _scored(summary: Summary, rules: Rules, observations: Sequence[Observation], truth: Mapping[str, float]) -> Summary:
    known = {candidate: value for candidate, value in truth.items() if np.isfinite(value)}
    hits = tuple(funnel_order(known, summary.sign)[: summary.config.campaign.top])
    done = {m.candidate for m in summary.measured if m.value is not None}
    found = tuple(candidate for candidate in hits if candidate in done)
    target = rules.ladder[rules.ladder.target]
    screening = min(rules.ladder.fidelities, key=lambda rung: rung.price_eur)
    screened = {o.candidate: o.value for o in observations if o.fidelity == screening.name and o.value is not None}
    screen_eur = summary.paid[screening.name]
    curve = funnel_curve(funnel_order(screened, summary.sign), frozenset(hits), screen_eur, target.price_eur)
    complete = summary.asked[screening.name] == len(rules.pool) and screening.name != target.name
    score = Score(
        hits, found, tuple(curve) if complete else (), screening.name,
        eur_to_find(curve, len(found)) if complete else None,
        expected_eur(len(found), len(hits), len(known), target.price_eur),
    )  # fmt: skip
    return Summary(**{**vars(summary), "score": score})

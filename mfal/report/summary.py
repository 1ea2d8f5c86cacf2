"""The figures of a campaign, read off its ledger."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mfal.campaign.config import CampaignConfig
from mfal.campaign.goal import Goal, goal
from mfal.campaign.record import paid_by_fidelity, recorded_observations, stop_reason
from mfal.fidelity import Fidelity
from mfal.ledger.event import Event, EventKind
from mfal.oracle import Observation
from mfal.report.score import Score, score

# Half-width of a central 90 % interval in standard deviations.
_NINETY = 1.6449


@dataclass(frozen=True)
class Measured:
    """One candidate measured at the target.

    Attributes:
        candidate: its id.
        value: as read, None if the measurement failed.
        noise_sd: reported uncertainty.
        predicted: mean of the prediction when the measurement was decided.
        half_width: of the 90 % interval for the measured value at that time.
        probability: of being a hit at that time.
        spent_eur: on this candidate, over all fidelities.
        hours: on the campaign's clock when the answer came.
        total_eur: spent by the whole campaign up to and including the answer.
        counted: value as it counts, once plates, drift and doubt are accounted for; None where that is as read.
        counted_sd: its standard deviation.
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
    counted: float | None = None
    counted_sd: float | None = None

    @property
    def final(self) -> float | None:
        """The value as it counts, None if the measurement failed."""
        return self.value if self.counted is None else self.counted


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
    def goal(self) -> Goal:
        """What was looked for."""
        return goal(self.config)

    @property
    def ranked(self) -> list[Measured]:
        """Measured candidates, best first, failures last."""
        merit = self.goal.merit
        return sorted(self.measured, key=lambda m: math.inf if m.final is None else merit(m.final))

    @property
    def corrected(self) -> bool:
        """Some values count otherwise than they were read."""
        return any(row.counted is not None for row in self.measured)


def summarise(config: CampaignConfig, events: Sequence[Event], truth: Mapping[str, float] | None) -> Summary:
    """Return the figures of a campaign.

    Args:
        config: of the campaign.
        events: of its ledger.
        truth: target values of all candidates where the target is a replay; reveals the score.
    """
    observations, names = recorded_observations(events), config.ladder.names
    paid = paid_by_fidelity(observations)
    summary = Summary(
        config=config,
        stopped=stop_reason(events),
        hours=max((event.payload.get("hours", 0.0) for event in events), default=0.0),
        spent_eur=sum(paid.values()),
        paid={name: paid.get(name, 0.0) for name in names},
        asked={name: sum(o.fidelity == name for o in observations) for name in names},
        failed={name: sum(o.fidelity == name and o.failure is not None for o in observations) for name in names},
        measured=tuple(_measured(config.ladder[config.ladder.target], observations, events)),
        score=None,
    )
    pool_size = events[0].payload["pool"]["size"]
    return summary if truth is None else replace(summary, score=score(config, pool_size, observations, truth))


def with_counted(summary: Summary, counted: Mapping[str, tuple[float, float]]) -> Summary:
    """Return the summary with the values as they count.

    Args:
        summary: with the values as they were read.
        counted: value and standard deviation by candidate, of those measured at the target.
    """
    rows = [
        row if row.value is None or row.candidate not in counted or counted[row.candidate][0] == row.value
        else replace(row, counted=counted[row.candidate][0], counted_sd=counted[row.candidate][1])
        for row in summary.measured
    ]  # fmt: skip
    return replace(summary, measured=tuple(rows))


def _measured(target: Fidelity, observations: Sequence[Observation], events: Sequence[Event]) -> list[Measured]:
    decided = {
        query["candidate"]: query
        for event in events if event.kind == EventKind.DECISION
        for query in event.payload["queries"] if query["fidelity"] == target.name
    }  # fmt: skip
    spent: dict[str, float] = {}
    for observation in observations:
        spent[observation.candidate] = spent.get(observation.candidate, 0.0) + observation.price_eur
    rows, total = [], 0.0
    answers = [event for event in events if event.kind == EventKind.OBSERVATION]
    for event, observation in zip(answers, observations, strict=True):
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

"""One self-contained page per campaign: opens offline, every text escaped."""

from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from mfal.campaign.build import recorded_rules
from mfal.campaign.goal import gain_text, worth_of_success
from mfal.campaign.history import Progress, Rules, fold
from mfal.errors import MissingExtraError
from mfal.ledger import EventKind
from mfal.report.judgement import Judgement, keep
from mfal.report.plots import money_plot, parity_plot, spend_plot
from mfal.report.reading import Reading
from mfal.report.relation import forecasts, relations
from mfal.report.score import Score
from mfal.report.summary import Summary, with_counted
from mfal.report.worth import judge

_LEFT_SHOWN = 12
# Within a hundredth of each other two campaigns cost the same.
_EVEN = 0.01


@dataclass(frozen=True)
class Card:
    """One figure at the head of the page; `tone` is "warn" where it deserves a look."""

    figure: str
    text: str
    tone: str = ""


def write_page(reading: Reading, path: Path) -> Path:
    """Write the page of a campaign to `path` and return it; the judgement of its sources is kept beside it.

    Raises:
        MissingExtraError: jinja2 or matplotlib is not installed.
    """
    try:
        from jinja2 import Environment, StrictUndefined
        from markupsafe import Markup
    except ImportError as error:
        raise MissingExtraError("jinja2", "report") from error
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.from_string(files("mfal.report").joinpath("page.html").read_text(encoding="utf-8"))
    # The plots are our own SVG, in which matplotlib has escaped the labels.
    rules = recorded_rules(reading.events[0].payload)[1]
    progress = fold(rules, reading.events)
    reading = replace(reading, summary=with_counted(reading.summary, _counted(rules, progress)))
    plots = {name: Markup(svg) for name, svg in _plots(reading, rules, progress).items()}
    judgement = judge(reading)
    keep(judgement, reading.head, path.parent)
    content = _content(reading, rules, progress, judgement)
    path.write_text(template.render(**content, **plots), encoding="utf-8")
    return path


def cards(summary: Summary, judgement: Judgement) -> list[Card]:
    """Return the figures for the head of the page."""
    budget = summary.config.campaign.budget_eur
    found = [
        Card(
            f"EUR {summary.spent_eur:,.0f}",
            f"spent of {budget:,.0f}, in {summary.hours / 24:.0f} days of the campaign's clock",
        ),
        Card("stopped" if summary.stopped else "running", summary.stopped or "not finished"),
    ]
    inside = [abs(row.final - row.predicted) <= row.half_width for row in summary.measured if row.final is not None]
    if inside:
        tone = "" if sum(inside) >= 0.7 * len(inside) else "warn"
        text = "measured values inside their 90 % interval predicted before"
        found.append(Card(f"{sum(inside)} of {len(inside)}", text, tone))
    scores = _score_cards(summary)
    return scores[:1] + found[:1] + scores[1:] + _judgement_cards(judgement) + found[1:]


def _score_cards(summary: Summary) -> list[Card]:
    score = summary.score
    if score is None:
        return []
    first = _success_card(summary, score)
    if score.eur_funnel is None:
        return [first]
    saved, random = score.eur_funnel - summary.spent_eur, f"EUR {score.eur_random:,.0f} at random"
    if saved > _EVEN * summary.spent_eur:
        text = f"for as much by the funnel, EUR {saved:,.0f} more; {random}"
        return [first, Card(f"EUR {score.eur_funnel:,.0f}", text)]
    verdict = "no cheaper than the funnel" if saved > -_EVEN * summary.spent_eur else "dearer than the funnel"
    text = f"for as much by the funnel, which is told when to stop: mfal was {verdict} here; {random}"
    return [first, Card(f"EUR {score.eur_funnel:,.0f}", text, "warn")]


def _success_card(summary: Summary, score: Score) -> Card:
    tone = "" if score.reached == score.possible else "warn"
    if not summary.goal.improves:
        return Card(f"{len(score.found)} of {len(score.hits)}", f"{summary.goal.hits_name} found", tone)
    if score.reached is None:
        return Card("none", "measured yet", tone)
    text = f"{summary.goal.unit}, best found; {score.possible:+.3f} is the best possible"
    return Card(f"{score.reached:+.3f}", text, tone)


def _judgement_cards(judgement: Judgement) -> list[Card]:
    if judgement.pays is None:
        return []
    figure = "does it pay?" if judgement.eur_single is None else f"EUR {judgement.eur_single:,.0f}"
    return [Card(figure, judgement.verdict, "" if judgement.pays else "warn")]


def _plots(reading: Reading, rules: Rules, progress: Progress) -> dict[str, str]:
    summary = reading.summary
    return {
        "money_svg": money_plot(summary),
        "spend_svg": spend_plot(summary),
        "parity_svg": parity_plot(relations(rules, progress, summary.config.typical[0]), summary.goal.unit),
    }


def _counted(rules: Rules, progress: Progress) -> dict[str, tuple[float, float]]:
    """Return value and standard deviation of the target's answers as they count, by candidate."""
    target, dataset = rules.policy.target, progress.state.dataset
    rows = np.flatnonzero(np.asarray(dataset.observed[:, target])).tolist()
    value, sd = (np.asarray(column)[:, target] for column in (dataset.value, np.sqrt(dataset.noise_variance)))
    return {rules.pool.ids[row]: (float(value[row]), float(sd[row])) for row in rows}


def _content(reading: Reading, rules: Rules, progress: Progress, judgement: Judgement) -> dict[str, Any]:
    summary = reading.summary
    decisions = [
        {**query, "hours": event.payload["hours"], "gain": gain_text(summary.config, query["gain"])}
        for event in reading.events if event.kind == EventKind.DECISION
        for query in event.payload["queries"]
    ]  # fmt: skip
    return {
        "title": summary.config.campaign.name,
        "config": summary.config,
        "unit": summary.config.property.unit,
        "pool_size": len(rules.pool),
        "summary": summary,
        "goal": summary.goal,
        "worth": worth_of_success(summary.config),
        "cards": cards(summary, judgement),
        "judgement": judgement,
        "waiting": reading.waiting,
        "forecasts": [(row, gain_text(summary.config, row.gain)) for row in forecasts(rules, progress)[:_LEFT_SHOWN]],
        "decisions": decisions,
        "failures": [o for o in progress.observations if o.failure is not None],
        "log": _log(reading),
    }


def _log(reading: Reading) -> list[tuple[str, str]]:
    first, last = reading.events[0], reading.events[-1]
    versions = ", ".join(f"{name} {number}" for name, number in first.payload["versions"].items())
    return [
        ("started", first.time),
        ("last event", last.time),
        ("events", str(len(reading.events))),
        ("head of the ledger", last.hash),
        ("candidates (SHA-256)", first.payload["pool"]["sha256"]),
        ("seed", str(reading.config.campaign.seed)),
        ("versions", f"python {first.payload['python']}, {versions}"),
    ]

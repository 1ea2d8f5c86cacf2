"""One self-contained page per campaign: opens offline, every text escaped."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from mfal.campaign.build import recorded_rules
from mfal.campaign.history import Progress, Rules, fold
from mfal.errors import MissingExtraError
from mfal.ledger import EventKind
from mfal.report.plots import money_plot, parity_plot, spend_plot
from mfal.report.reading import Reading
from mfal.report.relation import forecasts, relations
from mfal.report.summary import Summary

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
    """Write the page of a campaign to `path` and return it.

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
    plots = {name: Markup(svg) for name, svg in _plots(reading, rules, progress).items()}
    path.write_text(template.render(**_content(reading, rules, progress), **plots), encoding="utf-8")
    return path


def cards(summary: Summary) -> list[Card]:
    """Return the figures for the head of the page."""
    budget = summary.config.campaign.budget_eur
    found = [
        Card(
            f"EUR {summary.spent_eur:,.0f}",
            f"spent of {budget:,.0f}, in {summary.hours / 24:.0f} days of the campaign's clock",
        ),
        Card("stopped" if summary.stopped else "running", summary.stopped or "not finished"),
    ]
    inside = [abs(row.value - row.predicted) <= row.half_width for row in summary.measured if row.value is not None]
    if inside:
        tone = "" if sum(inside) >= 0.7 * len(inside) else "warn"
        text = "measured values inside their 90 % interval predicted before"
        found.append(Card(f"{sum(inside)} of {len(inside)}", text, tone))
    scores = _score_cards(summary)
    return scores[:1] + found[:1] + scores[1:] + found[1:]


def _score_cards(summary: Summary) -> list[Card]:
    score = summary.score
    if score is None:
        return []
    all_found = len(score.found) == len(score.hits)
    hits = Card(f"{len(score.found)} of {len(score.hits)}", "true best found", "" if all_found else "warn")
    if score.eur_funnel is None:
        return [hits]
    saved, random = score.eur_funnel - summary.spent_eur, f"EUR {score.eur_random:,.0f} at random"
    if saved > _EVEN * summary.spent_eur:
        return [
            hits,
            Card(f"EUR {score.eur_funnel:,.0f}", f"for as many by the funnel, EUR {saved:,.0f} more; {random}"),
        ]
    verdict = "no cheaper than the funnel" if saved > -_EVEN * summary.spent_eur else "dearer than the funnel"
    text = f"for as many by the funnel: multi-fidelity does not pay here, it was {verdict}; {random}"
    return [hits, Card(f"EUR {score.eur_funnel:,.0f}", text, "warn")]


def _plots(reading: Reading, rules: Rules, progress: Progress) -> dict[str, str]:
    summary = reading.summary
    return {
        "money_svg": money_plot(summary),
        "spend_svg": spend_plot(summary),
        "parity_svg": parity_plot(relations(rules, progress), summary.config.property.unit),
    }


def _content(reading: Reading, rules: Rules, progress: Progress) -> dict[str, Any]:
    summary = reading.summary
    decisions = [
        {**query, "hours": event.payload["hours"]}
        for event in reading.events if event.kind == EventKind.DECISION
        for query in event.payload["queries"]
    ]  # fmt: skip
    return {
        "title": summary.config.campaign.name,
        "config": summary.config,
        "unit": summary.config.property.unit,
        "pool_size": len(rules.pool),
        "summary": summary,
        "cards": cards(summary),
        "forecasts": forecasts(rules, progress)[:_LEFT_SHOWN],
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

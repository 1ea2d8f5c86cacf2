"""Plots of a campaign as inline SVG."""

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mfal.baselines.random import best_after, hits_after
from mfal.errors import MissingExtraError
from mfal.report.relation import Relation
from mfal.report.score import Score
from mfal.report.summary import Measured, Summary

_INK, _OURS, _FUNNEL, _RANDOM, _SOFT = "#22303c", "#0b6e75", "#c4661f", "#8a8f98", "#d9dee3"
_NAMED = 12
# Central range that is drawn of what happens at random.
_BAND = 0.8
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "mfal",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.color": _INK,
    "ytick.color": _INK,
    "legend.frameon": False,
}


def money_plot(summary: Summary) -> str:
    """Draw what was measured, and the hits found, against the money spent."""
    return draw(lambda plt: _money(plt, summary))


def spend_plot(summary: Summary) -> str:
    """Draw answers and money by fidelity."""
    return draw(lambda plt: _spend(plt, summary))


def parity_plot(relations: Sequence[Relation], unit: str) -> str:
    """Draw fidelities against each other, with the relation that was learnt."""
    return draw(lambda plt: _parity(plt, relations, unit))


def draw(paint: Callable) -> str:
    """Return what `paint` makes of pyplot as SVG, in the style of all plots; the same picture is the same text.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise MissingExtraError("matplotlib", "report") from error
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    with plt.rc_context(_STYLE):
        figure = paint(plt)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
        plt.close(figure)
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _money(plt, summary: Summary):
    figure, panels = plt.subplots(1, 2 if summary.score else 1, figsize=(10.5, 3.6), squeeze=False)
    rows = [row for row in summary.measured if row.final is not None]
    _measured(panels[0][0], rows, summary)
    if summary.score:
        _reached(panels[0][1], rows, summary, summary.score)
    figure.tight_layout(w_pad=3)
    return figure


def _measured(axes, rows: Sequence[Measured], summary: Summary) -> None:
    money, values = [row.total_eur for row in rows], np.array([row.final for row in rows])
    axes.errorbar(
        money,
        values,
        [row.counted_sd or row.noise_sd or 0.0 for row in rows],
        fmt="o",
        color=_OURS,
        ms=4.5,
        lw=1,
        label="measured",
    )
    goal = summary.goal
    if goal.window is not None:
        axes.axhspan(*goal.window, color=_SOFT, alpha=0.7, lw=0, label="window")
    elif len(values):
        best = goal.sign * np.minimum.accumulate(goal.sign * values)
        axes.step(money, best, where="post", color=_INK, lw=1.4, label="best so far")
    for row in rows:
        axes.annotate(row.candidate, (row.total_eur, row.final), xytext=(4, 5), textcoords="offset points", fontsize=8)
    axes.set(title="Measured, in order of spending", xlabel="EUR spent", ylabel=f"{_label(summary)}")
    axes.set_xlim(left=0)
    axes.legend(loc="best", fontsize=8)


def _reached(axes, rows: Sequence[Measured], summary: Summary, score: Score) -> None:
    """Draw hits found, or the best value found, against money: ours, the funnel's and that of random order."""
    last, improves = summary.config.campaign.budget_eur, summary.goal.improves
    price = next(section for section in summary.config.fidelity if section.target).price_eur
    money, reached = [row.total_eur for row in rows], _reached_by(rows, summary, score)
    start = ([], []) if improves else ([0.0], [0])
    axes.step([*start[0], *money], [*start[1], *reached], where="post", color=_OURS, lw=2.4, label="mfal")
    points = [(eur, value) for eur, value in score.funnel if eur <= last * 1.001 and np.isfinite(value)]
    if points:
        label = f"funnel ({score.screening})"
        axes.step(*zip(*points, strict=True), where="post", color=_FUNNEL, lw=1.8, ls="--", label=label)
    # Free measurements have no axis of money.
    most = min(len(score.values), int(last // price)) if price > 0 else 0
    counts = np.arange(1 if improves else 0, most + 1)
    if len(counts):
        bands = np.array([_random_after(int(count), summary, score) for count in counts])
        axes.fill_between(counts * price, bands[:, 1], bands[:, 2], step="post", color=_SOFT, alpha=0.7)
        axes.plot(counts * price, bands[:, 0], color=_RANDOM, lw=1.4, label="random, mean and 80 %")
    axes.axhline(score.possible, color=_INK, lw=0.6)
    title = "Best value found" if improves else f"{len(score.hits)} {summary.goal.hits_name}, found"
    axes.set(title=title[0].upper() + title[1:], xlabel="EUR spent", xlim=(0, last))
    axes.set_ylabel(_label(summary) if improves else "hits")
    if not improves:
        axes.yaxis.get_major_locator().set_params(integer=True)
    axes.legend(loc="center right", fontsize=8)


def _reached_by(rows: Sequence[Measured], summary: Summary, score: Score) -> np.ndarray:
    if not summary.goal.improves:
        return np.cumsum([row.candidate in score.hits for row in rows])
    values = np.array([row.final for row in rows])
    return summary.goal.sign * np.minimum.accumulate(summary.goal.sign * values)


def _random_after(count: int, summary: Summary, score: Score) -> tuple[float, float, float]:
    if summary.goal.improves:
        return best_after(count, score.values, _BAND)
    return hits_after(count, len(score.hits), len(score.values), _BAND)


def _spend(plt, summary: Summary):
    figure, axes = plt.subplots(figsize=(10.5, 0.62 * len(summary.paid) + 0.9))
    names, money = list(summary.paid)[::-1], np.array(list(summary.paid.values()))[::-1]
    shown = np.maximum(money, 1e-3)
    axes.barh(names, shown, color=[_OURS if name == _target(summary) else _FUNNEL for name in names], height=0.6)
    for row, name in enumerate(names):
        failed = f", {summary.failed[name]} failed" if summary.failed[name] else ""
        axes.annotate(f"EUR {money[row]:,.2f} for {summary.asked[name]} answers{failed}", (shown[row], row),
                      xytext=(6, 0), textcoords="offset points", va="center", fontsize=9)  # fmt: skip
    axes.set(xscale="log", xlabel="EUR, logarithmic")
    axes.set_xlim(1e-3, summary.config.campaign.budget_eur * 60)
    return figure


def _parity(plt, relations: Sequence[Relation], unit: str):
    columns = max(len(relations), 1)
    figure, panels = plt.subplots(1, columns, figsize=(max(10.5, 3.6 * columns), 4.0), squeeze=False)
    for axes, relation in zip(panels[0], relations, strict=False):
        axes.set(xlabel=f"{relation.lower}, {unit}", ylabel=f"{relation.upper}, {unit}")
        if len(relation.x):
            _pairs(axes, relation)
        else:
            axes.set(title="no pairs yet", xticks=[], yticks=[])
    figure.tight_layout(w_pad=3)
    return figure


def _pairs(axes, relation: Relation) -> None:
    low, high = min(*relation.x, *relation.y), max(*relation.x, *relation.y)
    ends = np.array([low, high]) + 0.1 * max(high - low, 1e-3) * np.array([-1.0, 1.0])
    along = np.linspace(ends[0], ends[1], 33)
    centre, sd = relation.line(along), relation.line_sd(along)
    axes.fill_between(along, centre - sd, centre + sd, color=_SOFT, alpha=0.8, lw=0)
    axes.plot(ends, ends, color=_RANDOM, lw=1, ls=":", label="equal")
    axes.plot(along, centre, color=_FUNNEL, lw=1.6, label="learnt relation")
    axes.errorbar(relation.x, relation.y, relation.y_sd, fmt="o", color=_OURS, ms=4.5, lw=1)
    if len(relation.x) <= _NAMED:
        for x, y, name in zip(relation.x, relation.y, relation.candidates, strict=True):
            axes.annotate(name, (x, y), xytext=(5, -3), textcoords="offset points", fontsize=7.5)
    slope = f"slope {relation.slope:.2f} ± {relation.slope_sd:.2f}"
    axes.set_title(f"{slope}\noffset {relation.offset:+.3f} ± {relation.offset_sd:.3f}", fontsize=9.5)
    axes.set(xlim=ends, ylim=ends)
    axes.legend(loc="best", fontsize=7.5)


def _label(summary: Summary) -> str:
    return f"{summary.goal.property_name}, {summary.goal.unit}"


def _target(summary: Summary) -> str:
    return next(section.name for section in summary.config.fidelity if section.target)

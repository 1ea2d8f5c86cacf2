"""Rich tables of a campaign's figures."""

from rich.table import Table

from mfal.report.judgement import Judgement
from mfal.report.score import Score
from mfal.report.summary import Measured, Summary


def fidelity_table(summary: Summary) -> Table:
    """Return asked, failed and paid by fidelity."""
    table = Table(title=f"{summary.config.campaign.name}: EUR {summary.spent_eur:,.2f} of "
                        f"{summary.config.campaign.budget_eur:,.0f} after {summary.hours / 24:.1f} days")  # fmt: skip
    for column in ("fidelity", "answers", "failed", "paid, EUR"):
        table.add_column(column, justify="left" if column == "fidelity" else "right")
    for name, asked in summary.asked.items():
        table.add_row(name, str(asked), str(summary.failed[name]), f"{summary.paid[name]:,.3f}")
    return table


def measured_table(summary: Summary) -> Table:
    """Return measured against predicted, best first."""
    unit, hits = summary.config.property.unit, summary.score.hits if summary.score else ()
    table = Table(title=f"measured, best first ({unit}); predicted before the measurement, 90 % interval")
    for column in ("", "candidate", "measured", "predicted", f"{summary.goal.chance_name} then", "spent, EUR", "day"):
        table.add_column(column, justify="left" if column in ("", "candidate") else "right")
    for rank, row in enumerate(summary.ranked, start=1):
        mark = f" true {hits.index(row.candidate) + 1}" if row.candidate in hits else ""
        table.add_row(f"{rank}{mark}", row.candidate, _measured(row), f"{row.predicted:+.3f} ± {row.half_width:.3f}",
                      f"{row.probability:.2f}", f"{row.spent_eur:,.2f}", f"{row.hours / 24:.1f}")  # fmt: skip
    return table


def source_table(judgement: Judgement) -> Table:
    """Return what each source was worth."""
    table = Table(
        title=f"what each source adds, next to the others, to foretelling {judgement.answers} answers of the target"
    )
    for column in ("source", "verdict", "evidence, nats", "paid, EUR"):
        table.add_column(column, justify="left" if column in ("source", "verdict") else "right")
    for row in judgement.sources:
        nats = "" if row.nats is None else f"{row.nats:+.1f}"
        table.add_row(row.source, row.verdict, nats, f"{row.paid_eur:,.3f}")
    return table


def verdict(summary: Summary, judgement: Judgement | None) -> str:
    """Return the outcome in a few sentences."""
    lines = [f"stopped: {summary.stopped}" if summary.stopped else "still running"]
    score = summary.score
    if score:
        lines.append(_success(summary, score))
        amount = "as good" if summary.goal.improves else "as many"
        paid = f"pays EUR {score.eur_funnel or 0.0:,.2f} for {amount}"
        funnel = f"never finds {amount}" if score.eur_funnel is None else paid
        lines.append(f"the funnel (screen by {score.screening}, measure down its ranking) {funnel}, "
                     f"random order EUR {score.eur_random:,.0f} on average")  # fmt: skip
    if judgement is not None:
        lines.append(judgement.verdict)
    return "\n".join(lines)


def _success(summary: Summary, score: Score) -> str:
    if not summary.goal.improves:
        names = f"{len(score.found)} of the {summary.goal.hits_name} {len(score.hits)}"
        return f"found {names} for EUR {summary.spent_eur:,.2f}"
    if score.reached is None:
        return f"measured nothing yet, for EUR {summary.spent_eur:,.2f}"
    value = f"{score.reached:+.3f} {summary.goal.unit}"
    return f"found {value} for EUR {summary.spent_eur:,.2f}; the best possible is {score.possible:+.3f}"


def _measured(row: Measured) -> str:
    if row.value is None:
        return "failed"
    return f"{row.value:+.3f}" + (f" ± {row.noise_sd:.3f}" if row.noise_sd else "")

"""Rich tables of a campaign's figures."""

from rich.table import Table

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
    for column in ("", "candidate", "measured", "predicted", "P(hit) then", "spent, EUR", "day"):
        table.add_column(column, justify="left" if column in ("", "candidate") else "right")
    for rank, row in enumerate(summary.ranked, start=1):
        mark = f" true {hits.index(row.candidate) + 1}" if row.candidate in hits else ""
        table.add_row(f"{rank}{mark}", row.candidate, _measured(row), f"{row.predicted:+.3f} ± {row.half_width:.3f}",
                      f"{row.probability:.2f}", f"{row.spent_eur:,.2f}", f"{row.hours / 24:.1f}")  # fmt: skip
    return table


def verdict(summary: Summary) -> str:
    """Return the outcome in a sentence or two."""
    lines = [f"stopped: {summary.stopped}" if summary.stopped else "still running"]
    score = summary.score
    if score:
        lines.append(f"found {len(score.found)} of the true best {len(score.hits)} for EUR {summary.spent_eur:,.2f}")
        funnel = "never finds as many" if score.eur_funnel is None else f"pays EUR {score.eur_funnel:,.2f} for as many"
        lines.append(f"the funnel (screen by {score.screening}, measure down its ranking) {funnel}, "
                     f"random order EUR {score.eur_random:,.0f} on average")  # fmt: skip
    return "\n".join(lines)


def _measured(row: Measured) -> str:
    if row.value is None:
        return "failed"
    return f"{row.value:+.3f}" + (f" ± {row.noise_sd:.3f}" if row.noise_sd else "")

"""An inference on the screen: quantities with their intervals, the ridge, the checks."""

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from pinn.estimate import Check, Estimate, Spectrum
from pinn.report.page import hoped, rows
from pinn.report.record import Inference
from pinn.stiffness.estimate import StiffnessEstimate


def say(inference: Inference, console: Console) -> None:
    """Print quantities, ridge, checks and advice."""
    estimate = inference.estimate
    console.print(_quantities(inference))
    if estimate.ridge:
        console.print(f"[bold]not told by the images:[/bold] {escape(estimate.ridge)}")
    console.print(checks_table(estimate.checks))
    if inference.advice:
        console.print(f"[yellow]advice:[/yellow] {escape(inference.advice)}")
    say_verdict(estimate, console)


def say_foretold(spectrum: Spectrum, console: Console) -> None:
    """Print what the data can be expected to tell, before a fit."""
    console.print(f"before the fit: {escape(hoped(spectrum))}")


def _quantities(inference: Inference) -> Table:
    table = Table(title=escape(inference.path.name))
    for column in ("quantity", "value", "95 % interval", "sd", "unit"):
        table.add_column(column, justify="left" if column in ("quantity", "unit") else "right")
    for row in rows((*inference.estimate.identified, *inference.estimate.separate)):
        table.add_row(row.symbol, row.value, f"{row.low} to {row.high}", row.relative, row.unit)
    return table


def progress_of_fit(console: Console) -> Progress:
    """Return the line that is shown while a fit runs, and gone afterwards."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True)


def checks_table(checks: tuple[Check, ...]) -> Table:
    """Return which checks passed, with their reasons."""
    table = Table("check", "passed", "reason")
    for check in checks:
        table.add_row(check.name, "yes" if check.passed else "[red]no[/red]", escape(check.reason))
    return table


def say_verdict(estimate: Estimate | StiffnessEstimate, console: Console) -> None:
    """Print whether an estimate is to be trusted, and what it took."""
    verdict = "[green]every check passed[/green]"
    if estimate.failed:
        verdict = f"[red]not to be trusted[/red]: failed {', '.join(estimate.failed)}"
    console.print(f"{verdict}; {estimate.backend}, {estimate.seconds:.1f} s")

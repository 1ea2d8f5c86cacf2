"""An inference of stiffness on the screen: constants, effective stiffness between its bounds, the ridge, the checks."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pinn.report.page import rows
from pinn.report.say import checks_table, say_verdict
from pinn.report.stiffness_record import Window, component_names

# Of the constants: the page has all of them.
_MOST_ROWS = 60


def say(window: Window, console: Console) -> None:
    """Print constants, effective stiffness, ridge and checks."""
    estimate = window.estimate
    console.print(_constants(window))
    console.print(f"{len(window.fields.loads)} loads of up to {100 * window.strain:.2g} % mean strain")
    if len(estimate.ratios) > _MOST_ROWS:
        console.print(f"... and {len(estimate.ratios) - _MOST_ROWS} more constants on the page")
    if estimate.scale is not None:
        scale = rows((estimate.scale,))[0]
        console.print(f"mean stiffness: {scale.value} {scale.unit} ({scale.low} to {scale.high})")
    if estimate.ridge:
        console.print(f"[bold]not told by these fields:[/bold] {escape(estimate.ridge)}")
    console.print(_effective(window))
    console.print(checks_table(estimate.checks))
    say_verdict(estimate, console)


def _constants(window: Window) -> Table:
    estimate = window.estimate
    table = Table(title=escape(window.path.name))
    table.add_column("constant")
    for name in ("ratio to the mean stiffness", "95 % interval"):
        table.add_column(name, justify="right")
    if estimate.scale is not None:
        table.add_column(estimate.scale.unit, justify="right")
        table.add_column("95 % interval", justify="right")
    absolute = {row.symbol: row for row in rows(estimate.absolute)}
    for row in rows(estimate.ratios)[:_MOST_ROWS]:
        scaled = absolute.get(row.symbol)
        beside = () if scaled is None else (scaled.value, f"{scaled.low} to {scaled.high}")
        table.add_row(row.symbol, row.value, f"{row.low} to {row.high}", *beside)
    return table


def _effective(window: Window) -> Table:
    table = Table(title=f"effective stiffness of the window, {window.unit}")
    table.add_column("Voigt's")
    for name in window.effective:
        table.add_column(name, justify="right")
    for name, place in component_names(window.fields.grain_map.ndim).items():
        table.add_row(name, *(f"{matrix[place]:#.4g}" for matrix in window.effective.values()))
    return table

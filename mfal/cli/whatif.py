"""``mfal whatif``: simulate how a campaign may go on, and what more money would bring."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from mfal.report.future import Future

# Budgets that are listed.
_BUDGETS = 7


def add_to(commands: argparse._SubParsersAction) -> None:
    """Register the command."""
    parser = commands.add_parser("whatif", help="simulate how a campaign may go on: hits against money and time")
    parser.add_argument("campaign", type=Path, help="a campaign's directory, or a campaign file that was not run yet")
    parser.add_argument(
        "--budget", type=float, metavar="EUR", help="what may be spent in all (default: the campaign's)"
    )
    parser.add_argument("--campaigns", type=int, default=128, help="simulated campaigns (default: 128)")
    parser.add_argument("--steps", type=int, default=80, help="decisions of each at most (default: 80)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed, the same study (default: 0)")
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> int:
    """Simulate, print what to expect, write ``whatif.html``."""
    from rich.console import Console
    from rich.progress import Progress

    from mfal.report.future import look_ahead, write_future

    with Progress(transient=True) as bar:
        task = bar.add_task("simulated campaigns", total=options.campaigns)
        future = look_ahead(
            options.campaign,
            budget_eur=options.budget,
            campaigns=options.campaigns,
            steps=options.steps,
            seed=options.seed,
            watch=lambda done: bar.update(task, completed=done),
        )
    console = Console()
    console.print(_table(future))
    console.print(future.verdict)
    folder = options.campaign.parent if options.campaign.is_file() else options.campaign
    print(f"wrote {write_future(future, folder / 'whatif.html')}")
    return 0


def _table(future: "Future") -> "Table":
    """Return what to expect at a few budgets."""
    import numpy as np
    from rich.table import Table

    table = Table(title=f"{future.config.campaign.name}: hits once so much has been spent")
    for column in ("EUR", "median", "80 %", "95 %", "mean"):
        table.add_column(column, justify="right")
    rows = future.by_budget.iloc[np.linspace(0, len(future.by_budget) - 1, _BUDGETS).round().astype(int)]
    for eur, (_, row) in zip(rows.index, rows.iterrows(), strict=True):
        ranges = (f"{row[f'low_{share}']:.0f} to {row[f'high_{share}']:.0f}" for share in (80, 95))
        table.add_row(f"{eur:,.0f}", f"{row['median']:.0f}", *ranges, f"{row['mean']:.2f}")
    return table

"""``mfal whatif``: simulate how a campaign may go on, and what would change it."""

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
    parser = commands.add_parser(
        "whatif", help="simulate how a campaign may go on: money, time, prices, splits, rivals"
    )
    parser.add_argument("campaign", type=Path, help="a campaign's directory, or a campaign file that was not run yet")
    parser.add_argument(
        "--budget", type=float, metavar="EUR", help="what may be spent in all (default: the campaign's)"
    )
    parser.add_argument(
        "--campaigns", type=int, default=128,
        help="simulated as planned; scenarios are compared in an eighth as many worlds (default: 128)",
    )  # fmt: skip
    parser.add_argument("--steps", type=int, default=80, help="decisions of each at most (default: 80)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed, the same study (default: 0)")
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> int:
    """Simulate, print what to expect, write ``whatif.html``."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from mfal.report.future import look_ahead, write_future

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as bar:
        task = bar.add_task("simulated campaigns", total=None)
        future = look_ahead(
            options.campaign,
            budget_eur=options.budget,
            campaigns=options.campaigns,
            steps=options.steps,
            seed=options.seed,
            watch=lambda done, total: bar.update(task, completed=done, total=total),
        )
    console = Console()
    console.print(_table(future))
    print(future.verdict)
    for sentence in future.advice:
        print(f"- {sentence}")
    if future.faults:
        print("What goes wrong in the worlds:", *future.faults, sep="\n- ")
    folder = options.campaign.parent if options.campaign.is_file() else options.campaign
    print(f"wrote {write_future(future, folder / 'whatif.html')}")
    return 0


def _table(future: "Future") -> "Table":
    """Return what to expect at a few budgets."""
    import numpy as np
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=f"{escape(future.config.campaign.name)}: once so much has been spent")
    for column in ("EUR", "median hits", "80 %", "95 %", "mean", "P(a hit)", "net worth, EUR"):
        table.add_column(column, justify="right")
    rows = np.linspace(0, len(future.by_budget) - 1, _BUDGETS).round().astype(int)
    for row in rows:
        hits, net = future.by_budget.iloc[row], future.stopping["net_eur"].iloc[row]
        ranges = (f"{hits[f'low_{share}']:.0f} to {hits[f'high_{share}']:.0f}" for share in (80, 95))
        chance = f"{future.chances[1].iloc[row]:.0%}"
        eur = f"{future.by_budget.index[row]:,.0f}"
        table.add_row(eur, f"{hits['median']:.0f}", *ranges, f"{hits['mean']:.2f}", chance, f"{net:,.0f}")
    return table

"""Show a running campaign, and leave it resumable whatever ends it."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table

from mfal.campaign.config import CampaignConfig
from mfal.campaign.goal import gain_text, goal
from mfal.campaign.loop import Campaign
from mfal.campaign.record import paid_by_fidelity
from mfal.oracle import Observation

INTERRUPTED = 130
_LINES = 8
# Candidates listed where the question names no number.
_BEST = 5
_LOG_WIDTH = 118


def say_started(config: CampaignConfig, directory: Path) -> None:
    """Print what is about to be decided and where it is kept."""
    section = config.campaign
    Console().print(
        f"[bold]{section.name}[/bold]: {goal(config).sentence} "
        f"within EUR {section.budget_eur:,.0f}; kept in {directory}"
    )


def drive(open_campaign: Callable[[], Campaign], directory: Path) -> int:
    """Run a campaign to its end under a live display; print tables and write the page.

    Ctrl-C and errors leave the campaign resumable; the way to go on is printed.
    """
    console = Console()
    if not console.is_terminal:
        console = Console(width=_LOG_WIDTH)
    # jaxlib warns about missing accelerators at start; that is no news on a workstation.
    logging.getLogger("jax._src.xla_bridge").setLevel(logging.ERROR)
    campaign = open_campaign()
    try:
        _show(campaign, console)
    except KeyboardInterrupt:
        console.print(f"interrupted; every answer so far is kept. Continue with: mfal resume {directory}")
        return INTERRUPTED
    except Exception:
        console.print(
            f"[red]stopped by an error[/red]; every answer so far is kept. Continue with: mfal resume {directory}"
        )
        raise
    finally:
        campaign.close()
    _conclude(directory, console)
    return 0


def _show(campaign: Campaign, console: Console) -> None:
    if not console.is_terminal:
        campaign.run(_Lines(console))
        return
    with Live(console=console, refresh_per_second=4) as live:
        campaign.run(lambda running: live.update(_screen(running)))


def _conclude(directory: Path, console: Console) -> None:
    from mfal.cli.tables import fidelity_table, measured_table, source_table, verdict
    from mfal.report.judgement import kept
    from mfal.report.page import write_page
    from mfal.report.reading import read_campaign

    reading = read_campaign(directory)
    console.print(fidelity_table(reading.summary), measured_table(reading.summary))
    page = write_page(reading, directory / "report.html")
    judgement = kept(reading.head, directory)
    if judgement is not None and judgement.sources:
        console.print(source_table(judgement))
    console.print(verdict(reading.summary, judgement))
    console.print(f"page: {page}")


class _Lines:
    """Without a terminal: a few lines for every decision and every landing."""

    def __init__(self, console: Console):
        self._console, self._decided, self._answers = console, -1, 0

    def __call__(self, campaign: Campaign) -> None:
        decision, day = campaign.last_decision, campaign.progress.hours / 24
        fresh = campaign.progress.observations[self._answers :]
        self._answers += len(fresh)
        self._say(day, [f"got {o.key}: {_answer(o, campaign.config.property.unit)}" for o in fresh])
        if decision and decision["index"] != self._decided:
            self._decided = decision["index"]
            self._say(day, [f"ask {_reason(campaign.config, query)}" for query in decision["queries"]])

    def _say(self, day: float, lines: Sequence[str]) -> None:
        more = [f"... and {len(lines) - _LINES} more"] if len(lines) > _LINES else []
        for line in [*lines[:_LINES], *more]:
            self._console.print(f"day {day:6.2f}  {line}", highlight=False, soft_wrap=True)


def _answer(observation: Observation, unit: str) -> str:
    return f"failed, {observation.failure}" if observation.value is None else f"{observation.value:+.4f} {unit}"


def _reason(config: CampaignConfig, query: Mapping[str, Any]) -> str:
    return (f"{query['candidate']} at {query['fidelity']} for EUR {query['price_eur']:g}: expected gain "
            f"{gain_text(config, query['gain'])}, {goal(config).chance_name} {query['probability']:.2f}, "
            f"predicted {query['mean']:+.3f} ± {query['sd']:.3f}")  # fmt: skip


def _screen(campaign: Campaign) -> Group:
    warnings = [Panel(text, title="warning", border_style="red") for text in campaign.warnings]
    return Group(_money(campaign), _fidelities(campaign), _best(campaign), _why(campaign), *warnings)


def _money(campaign: Campaign) -> Panel:
    budget, spent, committed = campaign.config.campaign.budget_eur, campaign.spent_eur, campaign.committed_eur
    text = (f"EUR {spent:,.2f} paid, {committed:,.2f} in flight, {budget - spent - committed:,.2f} left   "
            f"day {campaign.progress.hours / 24:.2f}   decision {campaign.progress.decisions}")  # fmt: skip
    bar = ProgressBar(total=budget, completed=spent + committed, width=72)
    return Panel(Group(text, bar), title=campaign.config.campaign.name)


def _fidelities(campaign: Campaign) -> Table:
    table = Table("fidelity", "answers", "in flight", "paid, EUR", "running now", expand=True)
    paid = paid_by_fidelity(campaign.progress.observations)
    for name, oracle in campaign.oracles.items():
        answers = sum(o.fidelity == name for o in campaign.progress.observations)
        flights = [f.query.candidate for f in campaign.progress.flights if f.query.fidelity == name]
        working = oracle.running()
        text = "; ".join(list(working)[:4]) if working else " ".join(flights[:6])
        table.add_row(name, str(answers), str(len(flights)), f"{paid.get(name, 0.0):,.3f}", text)
    return table


def _best(campaign: Campaign) -> Table:
    sought, target = goal(campaign.config), campaign.rules.ladder.target
    measured = [
        (o.value, o.candidate) for o in campaign.progress.observations if o.fidelity == target and o.value is not None
    ]
    name = "closest to the window" if sought.window else "best so far"
    table = Table(name, f"measured, {sought.unit}", expand=True)
    for value, candidate in sorted(measured, key=lambda pair: sought.merit(pair[0]))[: sought.top or _BEST]:
        inside = sought.window is not None and sought.window[0] <= value <= sought.window[1]
        table.add_row(candidate, f"{value:+.3f}{' inside' if inside else ''}")
    return table


def _why(campaign: Campaign) -> Panel:
    queries = campaign.last_decision.get("queries", [])
    lines = [_reason(campaign.config, query) for query in queries[:_LINES]]
    more = len(queries) - len(lines)
    return Panel("\n".join([*lines, *([f"and {more} more"] if more > 0 else [])]) or "deciding", title="why")

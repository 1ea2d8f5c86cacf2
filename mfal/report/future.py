"""How a campaign may go on, on one page that opens offline."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pandas as pd

from mfal.campaign.build import build_rules, recorded_rules
from mfal.campaign.config import CampaignConfig, load
from mfal.campaign.goal import Goal, goal
from mfal.campaign.history import Rules, fold
from mfal.campaign.record import LEDGER
from mfal.errors import LedgerError, MissingExtraError
from mfal.ledger import read_events
from mfal.report.plots import bands_plot
from mfal.whatif.bands import chances, hits_by_budget, hits_by_hour
from mfal.whatif.begin import begin
from mfal.whatif.simulate import Start, first_moment
from mfal.whatif.study import study

# Points of the grid that the page reads.
_GRID = 61


@dataclass(frozen=True)
class Future:
    """What a study says of a campaign.

    Attributes:
        config: of the campaign.
        goal: its question.
        budget_eur: that was simulated.
        spent_eur: before the study.
        by_budget: bands of hits against money.
        by_hour: bands of hits against time.
        chances: probability of at least so many hits (columns) against money.
        asked: mean queries at each fidelity in the end.
        finished: share of the campaigns that came to their end.
        campaigns: simulated.
    """

    config: CampaignConfig
    goal: Goal
    budget_eur: float
    spent_eur: float
    by_budget: pd.DataFrame
    by_hour: pd.DataFrame
    chances: pd.DataFrame
    asked: dict[str, float]
    finished: float
    campaigns: int

    @property
    def verdict(self) -> str:
        """The outcome in two sentences."""
        last = self.by_budget.iloc[-1]
        text = (
            f"With EUR {self.budget_eur:,.0f} in all: {last['median']:.0f} hits in the median campaign, "
            f"{last['low_80']:.0f} to {last['high_80']:.0f} in 80 % of them ({self.campaigns} simulated)."
        )
        short = f" {1.0 - self.finished:.0%} had not ended after the decisions they were given; raise --steps."
        return text + ("" if self.finished == 1.0 else short)


def look_ahead(
    source: Path,
    budget_eur: float | None,
    campaigns: int,
    steps: int,
    seed: int,
    watch: Callable[[int], None],
) -> Future:
    """Simulate how a campaign may go on.

    Args:
        source: directory of a campaign, or a campaign file: then the campaign begins.
        budget_eur: what may be spent in all; None for what the campaign may.
        campaigns: simulated.
        steps: decisions of each at most.
        seed: the same seed, the same study.
        watch: is told how many campaigns are done.

    Raises:
        CampaignFileError: the file cannot be accepted.
        LedgerError: there is no campaign, or its ledger does not verify.
        StudyError: the study could tell nothing.
    """
    config, rules, start = _from_file(source) if source.is_file() else _from_ledger(source)
    budget = config.campaign.budget_eur if budget_eur is None else budget_eur
    policy = eqx.tree_at(lambda policy: policy.budget_eur, rules.policy, jnp.asarray(budget))
    outcomes = study(policy, start, goal(config), campaigns, steps, seed, watch)
    money = np.linspace(float(start.state.spent_eur), budget, _GRID)
    hours = np.linspace(float(start.hours), max(float(outcomes.hours.max()), float(start.hours) + 1.0), _GRID)
    asked = np.asarray(outcomes.asked[:, -1]).mean(axis=0)
    return Future(
        config=config,
        goal=goal(config),
        budget_eur=budget,
        spent_eur=float(start.state.spent_eur),
        by_budget=hits_by_budget(outcomes, money),
        by_hour=hits_by_hour(outcomes, hours),
        chances=chances(outcomes, money),
        asked={rung.name: float(count) for rung, count in zip(config.ladder.fidelities, asked, strict=True)},
        finished=outcomes.finished,
        campaigns=campaigns,
    )


def write_future(future: Future, path: Path) -> Path:
    """Write the page of a study to `path` and return it.

    Raises:
        MissingExtraError: jinja2 or matplotlib is not installed.
    """
    try:
        from jinja2 import Environment, StrictUndefined
        from markupsafe import Markup
    except ImportError as error:
        raise MissingExtraError("jinja2", "report") from error
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.from_string(files("mfal.report").joinpath("future.html").read_text(encoding="utf-8"))
    # The plots are our own SVG, in which matplotlib has escaped the labels.
    money = Markup(bands_plot(future.by_budget, "money spent in all, EUR"))
    time = Markup(bands_plot(future.by_hour.set_index(future.by_hour.index / 24.0), "day of the campaign's clock"))
    path.write_text(
        template.render(future=future, money=money, time=time, grid=_grid(future), days=future.by_hour.index[-1] / 24),
        encoding="utf-8",
    )
    return path


def _from_file(file: Path) -> tuple[CampaignConfig, Rules, Start]:
    config = load(file)
    rules = build_rules(config)
    return config, rules, first_moment(rules.policy, rules.first)


def _from_ledger(directory: Path) -> tuple[CampaignConfig, Rules, Start]:
    events = read_events(directory) if (directory / LEDGER).exists() else []
    if not events:
        raise LedgerError(f"{directory} holds no campaign; start one with: mfal run FILE --directory {directory}")
    config, rules = recorded_rules(events[0].payload)
    return config, rules, begin(rules, fold(rules, events))


def _grid(future: Future) -> dict:
    """Return what the slider reads, as plain numbers."""
    bands, chance = future.by_budget.round(2).to_dict("split"), future.chances.round(3).to_dict("split")
    return {"eur": bands["index"], "bands": bands["columns"], "hits": bands["data"],
            "counts": chance["columns"], "chance": chance["data"]}  # fmt: skip

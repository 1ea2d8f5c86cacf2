"""How a campaign may go on, and what would change it, on one page that opens offline."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mfal.campaign.build import build_rules, recorded_rules
from mfal.campaign.config import CampaignConfig, load
from mfal.campaign.goal import Goal, goal, worth_of_success
from mfal.campaign.history import Rules, current_policy, fold
from mfal.campaign.record import campaign_events
from mfal.errors import MissingExtraError
from mfal.whatif.bands import (
    best_by_budget,
    chances,
    chances_by_hour,
    hits_by_budget,
    hits_by_hour,
    regret_by_budget,
)
from mfal.whatif.begin import begin
from mfal.whatif.bottleneck import bottleneck
from mfal.whatif.break_even import against_correlation, against_price, break_even
from mfal.whatif.faults import of_ladder
from mfal.whatif.marginal import marginal
from mfal.whatif.price_grid import price_grid
from mfal.whatif.rivals import rivals
from mfal.whatif.scenario import with_budget
from mfal.whatif.setting import Setting, once_each, set_up
from mfal.whatif.simulate import Start, first_moment
from mfal.whatif.split import split
from mfal.whatif.stopping import stopping
from mfal.whatif.study import Outcomes
from mfal.whatif.value import Value

# Stands where there is no number.
_NONE = "\N{EN DASH}"
# Points of the grid that the page reads.
_GRID = 61


@dataclass(frozen=True)
class Answers:
    """The answers to the questions that compare scenarios; each is documented where it is computed.

    Attributes:
        split: hits and money where a fidelity is held back.
        marginal: value of one more EUR at each fidelity.
        price: outcome against the price of each fidelity.
        correlation: outcome against its correlation with the target.
        bottleneck: one more slot, half the latency, or more money.
        rivals: hits by budget without mfal.
        grid: hits over prices and budgets.
    """

    split: pd.DataFrame
    marginal: pd.DataFrame
    price: pd.DataFrame
    correlation: pd.DataFrame
    bottleneck: pd.DataFrame
    rivals: pd.DataFrame
    grid: pd.DataFrame


@dataclass(frozen=True)
class Future:
    """What a study says of a campaign.

    Attributes:
        config: of the campaign.
        goal: its question.
        budget_eur: that was simulated.
        spent_eur: before the study.
        by_budget: bands of hits against money.
        best: bands of the best measured value against money.
        regret: bands of the distance to the best there is against money.
        by_hour: bands of hits against time.
        chances: probability of at least so many hits (columns) against money.
        chances_by_hour: the same against time.
        stopping: net worth against money.
        asked: mean queries at each fidelity in the end.
        paid_eur: mean money for each fidelity from now on.
        finished: share of the campaigns that came to their end.
        campaigns: simulated as planned.
        compared: worlds in which scenarios were compared.
        faults: what goes wrong in the worlds, in words.
        answers: to the questions that compare scenarios.
    """

    config: CampaignConfig
    goal: Goal
    budget_eur: float
    spent_eur: float
    by_budget: pd.DataFrame
    best: pd.DataFrame
    regret: pd.DataFrame
    by_hour: pd.DataFrame
    chances: pd.DataFrame
    chances_by_hour: pd.DataFrame
    stopping: pd.DataFrame
    asked: dict[str, float]
    paid_eur: dict[str, float]
    finished: float
    campaigns: int
    compared: int
    faults: tuple[str, ...]
    answers: Answers

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

    @property
    def advice(self) -> list[str]:
        """What follows from the answers, a sentence each."""
        return [_when_to_stop(self.stopping), _best_split(self.answers.split), _next_euro(self.answers.marginal),
                *_limits(self.answers), _rivals(self.answers.rivals)]  # fmt: skip


def look_ahead(
    source: Path,
    budget_eur: float | None,
    campaigns: int,
    steps: int,
    seed: int,
    watch: Callable[[int, int], None],
) -> Future:
    """Simulate how a campaign may go on.

    Args:
        source: directory of a campaign, or a campaign file: then the campaign begins.
        budget_eur: what may be spent in all; None for what the campaign may.
        campaigns: simulated as planned; scenarios are compared in an eighth of them each (at least 8).
        steps: decisions of each at most.
        seed: the same seed, the same study.
        watch: is told how many campaigns have been simulated, and of how many as far as is known.

    Raises:
        CampaignFileError: the file cannot be accepted.
        LedgerError: there is no campaign, or its ledger does not verify.
        StudyError: the study could tell nothing.
    """
    config, rules, start = _from_file(source) if source.is_file() else _from_ledger(source)
    budget = config.campaign.budget_eur if budget_eur is None else budget_eur
    policy, asked_for, value = with_budget(rules.policy, budget), goal(config), Value.of(config)
    count = _Count(watch, campaigns + _SCENARIOS * -(-campaigns // 8))
    names, faults = rules.ladder.names, of_ladder(rules.ladder, rules.pool)
    outcomes, setting = set_up(policy, start, names, asked_for, value, campaigns, steps, seed, count.add, faults)
    money = np.linspace(float(start.state.spent_eur), budget, _GRID)
    hours = np.linspace(float(start.hours), max(float(outcomes.hours.max()), float(start.hours) + 1.0), _GRID)
    count.total = count.done + _rehearsed(setting, outcomes, money)
    asked = np.asarray(outcomes.asked[:, -1]).mean(axis=0)
    return Future(
        config=config,
        goal=asked_for,
        budget_eur=budget,
        spent_eur=float(start.state.spent_eur),
        by_budget=hits_by_budget(outcomes, money),
        best=best_by_budget(outcomes, money, asked_for),
        regret=regret_by_budget(outcomes, money),
        by_hour=hits_by_hour(outcomes, hours),
        chances=chances(outcomes, money),
        chances_by_hour=chances_by_hour(outcomes, hours),
        stopping=stopping(outcomes, value, money),
        asked=_by_name(names, asked),
        paid_eur=_by_name(names, setting.paid_eur(outcomes, policy)),
        finished=outcomes.finished,
        campaigns=campaigns,
        compared=setting.worlds.value.shape[0],
        faults=tuple(sentence for one in faults if one is not None for sentence in one.said),
        answers=_answers(setting, outcomes, money, seed),
    )


def write_future(future: Future, path: Path) -> Path:
    """Write the page of a study to `path` and return it.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError as error:
        raise MissingExtraError("jinja2", "report") from error
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"eur": _eur, "signed": lambda number: _NONE if np.isnan(number) else f"{number:+,.2f}"}
    template = environment.from_string(files("mfal.report").joinpath("future.html").read_text(encoding="utf-8"))
    break_evens = {name: break_even(table)["verdict"] for name, table in
                   (("price", future.answers.price), ("correlation", future.answers.correlation))
                   if len(table)}  # fmt: skip
    text = template.render(
        future=future,
        answers=future.answers,
        break_evens=break_evens,
        worth=worth_of_success(future.config),
        grid=_grid(future),
        charts=_charts(future),
    )
    path.write_text(text, encoding="utf-8")
    return path


# Scenarios that are expected before their number is known.
_SCENARIOS = 32


class _Count:
    """Counts simulated campaigns for whoever watches."""

    def __init__(self, watch: Callable[[int, int], None], total: int):
        self.watch, self.total, self.done = watch, total, 0

    def add(self, campaigns: int) -> None:
        self.done += campaigns
        self.watch(self.done, max(self.total, self.done))


def _answers(setting: Setting, outcomes: Outcomes, money: np.ndarray, seed: int) -> Answers:
    return Answers(
        split=split(setting),
        marginal=marginal(setting),
        price=against_price(setting),
        correlation=against_correlation(setting),
        bottleneck=bottleneck(setting),
        rivals=rivals(setting, money, seed),
        grid=price_grid(setting, outcomes, money),
    )


def _rehearsed(setting: Setting, outcomes: Outcomes, money: np.ndarray) -> int:
    """Return how many campaigns the answers will simulate: ask everything of a simulation that only counts."""
    count = _Count(lambda *_: None, 0)

    def run(*_: object) -> Outcomes:
        count.add(setting.worlds.value.shape[0])
        return setting.base

    planned = once_each(run, {})
    planned(setting.policy, setting.start, setting.worlds)
    _answers(replace(setting, run=planned), outcomes, money, 0)
    return count.done - setting.worlds.value.shape[0]


def _from_file(file: Path) -> tuple[CampaignConfig, Rules, Start]:
    config = load(file)
    rules = build_rules(config)
    return config, rules, first_moment(rules.policy, rules.first)


def _from_ledger(directory: Path) -> tuple[CampaignConfig, Rules, Start]:
    events = campaign_events(directory)
    config, rules = recorded_rules(events[0].payload)
    progress = fold(rules, events)
    return config, replace(rules, policy=current_policy(rules, progress)), begin(rules, progress)


def _by_name(names: tuple[str, ...], numbers: np.ndarray) -> dict[str, float]:
    return {name: float(number) for name, number in zip(names, numbers, strict=True)}


def _eur(number: float) -> str:
    """Return an amount with cents where they matter."""
    if np.isnan(number):
        return _NONE
    if abs(number) >= 100.0 or number == 0.0:
        return f"{number:,.0f}"
    return f"{number:.2f}" if abs(number) >= 1.0 else f"{number:.3g}"


def _when_to_stop(table: pd.DataFrame) -> str:
    row = int(np.argmax(table["stop"].to_numpy()))
    at, net, error = (float(column[row]) for column in (table.index, table["net_eur"].array, table["se_eur"].array))
    text = f"Expected net worth is greatest at a budget of EUR {at:,.0f}: EUR {net:,.0f} ± {error:,.0f}"
    return text + (", and still rising: more money may pay." if row == len(table) - 1 else ".")


def _best_split(table: pd.DataFrame) -> str:
    more, error = (table["outcome", column].to_numpy(dtype=float) for column in ("more_net_eur", "se_eur"))
    row = int(np.argmax(more))
    limited, share = str(table.index[row][0]), float(table.index[row][1])
    if limited == "none" or more[row] <= 2.0 * error[row]:
        return "No other split of the money was clearly better than the one that the policy chooses."
    held = "asking the target alone" if limited == "all" else f"holding {limited} to {share:.0%} of its queries"
    return f"Another split is better: {held} brings EUR {more[row]:,.0f} ± {error[row]:,.0f} more."


def _next_euro(table: pd.DataFrame) -> str:
    known = table.dropna()
    if known.empty:
        return "There is nothing left that more money could buy."
    one, error = (known[column].to_numpy(dtype=float) for column in ("per_eur", "se_per_eur"))
    row = int(np.argmax(one - 2.0 * error))
    if one[row] <= 2.0 * error[row]:
        return "No fidelity was found where one more EUR clearly brings anything."
    where = "left to the policy" if known.index[row] == "any" else f"spent now at {known.index[row]}"
    pays = "" if one[row] > 1.0 else ", which does not pay"
    return f"One more EUR most surely brings something {where}: EUR {one[row]:,.2f} ± {error[row]:,.2f}{pays}."


def _limits(answers: Answers) -> list[str]:
    tables = [table for table in (answers.price, answers.correlation) if len(table)]
    return [f"{name} {verdict}." for table in tables for name, verdict in break_even(table)["verdict"].items()]


def _rivals(table: pd.DataFrame) -> str:
    last = table.xs("mean", axis=1, level=1).iloc[-1]
    return "Mean hits in the same worlds: " + ", ".join(f"{name} {hits:.2f}" for name, hits in last.items()) + "."


def _grid(future: Future) -> dict[str, Any]:
    """Return what the sliders read, as plain numbers: net worth and chances of hits by prices and budget."""
    table, config = future.answers.grid, future.config
    counts = [name for name in table.columns if isinstance(name, int)]
    rows = table[["net_eur", *counts]].to_numpy(dtype=float).reshape(-1, len(future.by_budget), 1 + len(counts))
    return {
        "eur": [round(float(eur), 2) for eur in future.by_budget.index],
        "counts": counts,
        "varied": list(table.index.names[:-1]),
        "prices": {section.name: section.price_eur for section in config.fidelity},
        "paid": {name: round(eur, 6) for name, eur in future.paid_eur.items()},
        "rows": np.round(rows, 4).tolist(),
    }


def _charts(future: Future) -> list[dict[str, Any]]:
    """Return what is drawn below the sliders: title, axes, lines and bands of each chart."""
    unit, days = future.config.property.unit, future.by_hour.set_index(future.by_hour.index / 24.0)
    worth = future.stopping.rename(columns={"net_eur": "mean"})
    best = "Best measured value" if future.goal.window is None else "Distance to the middle of the window"
    regret = "Regret: distance to the best there is"
    money, rival = "EUR spent in all", future.answers.rivals.xs("mean", axis=1, level=1)
    chance = future.chances_by_hour.set_index(future.chances_by_hour.index / 24.0).rename(
        columns=lambda count: f"at least {count}"
    )
    return [
        _chart("Hits against time", "day of the campaign", "hits", days, ("median", "mean"), (95, 80, 50)),
        _chart("Chance of hits by a date", "day of the campaign", "probability", chance, tuple(chance.columns), ()),
        _chart(best, money, f"{future.goal.property_name}, {unit}", future.best, ("median",), (95, 80, 50)),
        _chart(regret, money, unit, future.regret, ("median",), (95, 80, 50)),
        _chart("Net worth if stopped there", money, "EUR", worth, ("mean",), (80,)),
        _chart("The same worlds without mfal", money, "mean hits", rival, tuple(rival.columns), ()),
    ]  # fmt: skip


def _chart(
    title: str, x_label: str, y_label: str, table: pd.DataFrame, lines: tuple[str, ...], shares: tuple[int, ...]
) -> dict[str, Any]:
    return {
        "title": title,
        "xLabel": x_label,
        "yLabel": y_label,
        "x": _plain(table.index),
        "lines": [{"name": name, "y": _plain(table[name])} for name in lines],
        "bands": [{"name": f"{share} %", "low": _plain(table[f"low_{share}"]), "high": _plain(table[f"high_{share}"])}
                  for share in shares],
    }  # fmt: skip


def _plain(column: Any) -> list[float | None]:
    """Return numbers for JSON, which knows neither infinity nor NaN."""
    return [round(float(number), 4) if np.isfinite(number) else None for number in column]

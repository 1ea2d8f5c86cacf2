"""The batch: everything that waits for a laboratory, each composition checked again at this door."""

import csv
import hashlib
import io
from collections.abc import Sequence

from mfal.campaign.config import CampaignConfig
from mfal.campaign.feasibility import answers
from mfal.campaign.goal import gain_text, gain_unit, goal
from mfal.campaign.record import stop_reason
from mfal.errors import ConstraintError
from mfal.laboratory.options import attended, laboratory_options
from mfal.laboratory.read_csv import NEEDED, OPTIONAL
from mfal.laboratory.requests import Request, requests
from mfal.laboratory.schema import BATCH_VERSION, RESULTS_VERSION, STEP, Batch, BatchQuery, RefusedQuery
from mfal.laboratory.told import Told
from mfal.ledger.event import Event
from mfal.space.formula import Formula
from mfal.space.pool import Pool

_DIGITS = 12


def build_batch(config: CampaignConfig, events: Sequence[Event], pool: Pool, told: Told, running: bool) -> Batch:
    """Return what waits for laboratories; the same ledgers give the same batch.

    Args:
        config: of the campaign.
        events: of its ledger.
        pool: its candidates, before its constraints.
        told: results so far; what has one waits no longer.
        running: another process decides at present.
    """
    waiting = [one for one in requests(config, events).values() if not one.answered and one.key not in told.revisions]
    refused = refused_requests(config, pool, told, waiting)
    kept = [one for one in waiting if one.id not in refused]
    stopped = stop_reason(events)
    state = "running" if running else "waiting" if stopped is None else "stopped"
    return Batch(
        schema_version=BATCH_VERSION,
        batch=hashlib.sha256("\n".join(one.id for one in kept).encode()).hexdigest()[:_DIGITS],
        campaign=config.campaign.name,
        state=state,
        stopped=stopped,
        steps={rung.name: laboratory_options(rung).steps for rung in attended(config.ladder)},
        queries=[_query(config, pool, one) for one in kept],
        refused=[
            RefusedQuery(id=o.id, candidate=o.candidate, reason=refused[o.id]) for o in waiting if o.id in refused
        ],
    )


def refused_requests(config: CampaignConfig, pool: Pool, told: Told, waiting: Sequence[Request]) -> dict[str, str]:
    """Return the requests whose composition ``[constraints]`` refuse today, each with the reasons.

    The pool met them when the campaign began; a candidate's composition or a table of oxidation states may have changed
    since. What a person has accepted is not refused again.
    """
    if not config.constraints.declared:
        return {}
    formulas = {one.id: pool.formula(one.candidate) for one in waiting}
    reasons = answers(config.constraints, list(dict.fromkeys(formulas.values()))) if waiting else {}
    found = {name: reasons[formula] for name, formula in formulas.items()}
    return {name: reason for name, reason in found.items() if reason and not told.released(name)}


def batch_csv(batch: Batch) -> str:
    """Return a batch as a table, a row a query; fractions as ``Ni=0.5 Al=0.5``."""
    columns = ["schema_version", "batch", *BatchQuery.model_fields]
    rows = [[batch.schema_version, batch.batch, *map(_cell, dict(query).values())] for query in batch.queries]
    return _table([columns, *rows])


def results_form(batch: Batch) -> str:
    """Return a table of results to be filled in, a row a query."""
    steps = list(dict.fromkeys(STEP + step for query in batch.queries for step in batch.steps[query.fidelity]))
    columns = [*NEEDED, *OPTIONAL, *steps]
    known = [{"schema_version": RESULTS_VERSION, "id": query.id, "unit": query.unit} for query in batch.queries]
    return _table([columns, *([row.get(column, "") for column in columns] for row in known)])


def _query(config: CampaignConfig, pool: Pool, one: Request) -> BatchQuery:
    text, unit = pool.formula(one.candidate), config.property.unit
    fractions = _fractions(text)
    return BatchQuery(
        id=one.id,
        candidate=one.candidate,
        formula=text if fractions else None,
        atomic_fractions=fractions,
        fidelity=one.fidelity.name,
        property=config.property.name,
        unit=unit,
        is_target=one.fidelity.name == config.ladder.target,
        price_eur=one.price_eur,
        expected_gain=one.gain,
        expected_gain_unit=gain_unit(config),
        probability=one.probability,
        predicted=one.mean,
        predicted_sd=one.sd,
        asked=one.asked.isoformat(timespec="seconds"),
        due=one.due.isoformat(timespec="seconds"),
        recipe=_recipe(one, text, fractions),
        reason=_reason(config, one),
    )


def _reason(config: CampaignConfig, one: Request) -> str:
    return (f"choice {one.rank} of {one.decided}: expected gain {gain_text(config, one.gain)} for "
            f"EUR {one.price_eur:,.2f}; {goal(config).chance_name} {one.probability:.2f}; "
            f"predicted {one.mean:.4g} ± {one.sd:.2g} {config.property.unit}")  # fmt: skip


def _recipe(one: Request, formula: str, fractions: dict[str, float]) -> str | None:
    template = laboratory_options(one.fidelity).recipe
    if template is None:
        return None
    percent = ", ".join(f"{symbol} {100 * share:.4g}" for symbol, share in fractions.items())
    return template.format(candidate=one.candidate, formula=formula, atomic_percent=percent)


def _fractions(formula: str) -> dict[str, float]:
    """Return the atomic fractions of a formula, none where the candidate's name is no formula."""
    try:
        read = Formula.parse(formula)
    except ConstraintError:
        return {}
    return {symbol: amount / read.atoms for symbol, amount in read.amounts.items()}


def _cell(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{symbol}={share!r}" for symbol, share in value.items())
    return "" if value is None else str(value)


def _table(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()

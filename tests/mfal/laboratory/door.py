"""A campaign at the moment when its first queries wait for a laboratory, written without any numerics."""

import json
from pathlib import Path

from mfal.campaign.config import CampaignConfig, parse
from mfal.campaign.plugins import build_pool, fingerprint
from mfal.laboratory.schema import RESULTS_VERSION
from mfal.ledger import EventKind, Ledger, read_events

CANDIDATES = ("AlCo", "AlNi", "TiNi", "ZrPd")
MEANS = {"AlCo": -0.55, "AlNi": -0.60, "TiNi": -0.35, "ZrPd": -0.50}
RAW = {
    "campaign": {
        "name": "alloys", "seed": 1, "budget_eur": 6000.0, "best": "lowest", "top": 2, "value_of_hit_eur": 4000.0,
    },
    "property": {"name": "formation_energy", "unit": "eV/atom", "typical_value": -0.5, "typical_spread": 0.4},
    "candidates": {"source": "measured_intermetallics", "options": {"limit": 6, "include": list(CANDIDATES)}},
    "fidelity": [
        {"name": "calorimetry", "oracle": "laboratory", "price_eur": 500.0, "latency_hours": 120.0, "capacity": 4,
         "noise_sd": 0.04, "target": True,
         "options": {"recipe": "Arc-melt {formula} ({atomic_percent} at.%)", "steps": ["weighed", "melted"],
                     "lowest": -5.0, "highest": 2.0}},
    ],
}  # fmt: skip


def config(**tables: dict) -> CampaignConfig:
    """Return the campaign with keys of its tables replaced."""
    return parse({**RAW, **{name: {**RAW.get(name, {}), **table} for name, table in tables.items()}}, Path("door.toml"))


def prepared(directory: Path, of: CampaignConfig | None = None) -> Path:
    """Write the ledger of a campaign that has asked for `CANDIDATES` and waits."""
    of = of or config()
    pool = build_pool(config())
    first = {"config": of.model_dump(mode="json"), "pool": {"size": len(pool), "sha256": fingerprint(pool)}}
    queries = [
        {"candidate": name, "fidelity": "calorimetry", "price_eur": 500.0, "gain": 900.0 - 50 * rank,
         "probability": 0.3, "mean": MEANS[name], "sd": 0.1}
        for rank, name in enumerate(CANDIDATES)
    ]  # fmt: skip
    decision = {"index": 0, "hours": 0.0, "state": "0", "outcome": "QUERIES", "queries": queries}
    with Ledger.create(directory) as ledger:
        ledger.append(EventKind.CAMPAIGN, first)
        ledger.append(EventKind.DECISION, decision)
    return directory


def ids(directory: Path) -> dict[str, str]:
    """Return the ids of the requests, by candidate."""
    from mfal.laboratory.requests import requests

    events = read_events(directory)
    found = requests(CampaignConfig.model_validate(events[0].payload["config"]), events)
    return {one.candidate: name for name, one in found.items()}


def row(name: str, value: float | None = -0.5, **more: object) -> dict:
    """Return a result as JSON has it."""
    measured = {} if value is None else {"value": value, "unit": "eV/atom"}
    return {"id": name, **measured, **more}


def document(*rows: dict) -> bytes:
    """Return a JSON file of results."""
    return json.dumps({"schema_version": RESULTS_VERSION, "results": rows}).encode()


def table(*rows: dict[str, str], columns: str = "schema_version,id,value,unit,uncertainty,failure") -> bytes:
    """Return a CSV file of results; cells that are not given are empty."""
    names = columns.split(",")
    lines = [",".join({"schema_version": RESULTS_VERSION, **one}.get(name, "") for name in names) for one in rows]
    return "\n".join([columns, *lines, ""]).encode()

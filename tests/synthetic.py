"""A small synthetic campaign: answers are known, immediate and free of heavy packages."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np

import mfal.oracle
from mfal.campaign.config import CampaignConfig, parse
from mfal.oracle import Observation, OracleContext, Query
from mfal.space.pool import Pool

SIZE = 24


def truth(seed: int = 0, size: int = SIZE) -> np.ndarray:
    """Return a property that is smooth in the two descriptors plus a part of its own, shape (size, 3)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(size, 2))
    low = 0.5 * np.sin(x[:, 0]) - 0.3 * x[:, 1] + 0.1 * rng.normal(size=size)
    middle = low + 0.05 + 0.08 * rng.normal(size=size)
    high = 0.9 * middle - 0.1 + 0.04 * rng.normal(size=size)
    return np.column_stack([low, middle, high])


def pool(options: Mapping) -> Pool:
    """Return the synthetic pool."""
    rng = np.random.default_rng(options.get("seed", 0))
    size = options.get("size", SIZE)
    return Pool([f"c{i:02d}" for i in range(size)], rng.normal(size=(size, 2)), ["x", "y"])


class TableOracle:
    """Answers from a table at once; notes every query it really worked on in a file."""

    def __init__(self, context: OracleContext):
        """Read the options `level`, `fail` (candidates that fail) and `nan`."""
        self.options, self.name = context.fidelity.options, context.fidelity.name
        self.level = self.options["level"]
        self.values = truth(self.options.get("seed", 0), len(context.pool))
        self.index, self.log = context.pool.index, context.directory / "worked.jsonl"
        self.price = context.fidelity.price_eur
        self.ready: list[Observation] = []

    def submit(self, queries: Sequence[Query]) -> Sequence[str]:
        """Answer at once."""
        for query in queries:
            with self.log.open("a") as file:
                file.write(json.dumps(query.key) + "\n")
                file.flush()
                os.fsync(file.fileno())
            self.ready.append(self._answer(query))
        return [query.key for query in queries]

    def collect(self) -> Sequence[Observation]:
        """Hand over what has been answered."""
        ready, self.ready = self.ready, []
        return ready

    def running(self) -> Sequence[str]:
        """Nothing takes time here."""
        return []

    def close(self) -> None:
        """Nothing to release."""

    def hidden_truth(self) -> Mapping[str, float]:
        """Reveal the table."""
        return {f"c{i:02d}": float(v) for i, v in enumerate(self.values[:, self.level])}

    def _answer(self, query: Query) -> Observation:
        if query.candidate in self.options.get("fail", []) or self.options.get("fail_all", False):
            return Observation(query.candidate, self.name, None, None, self.price, "did not converge")
        value = float(self.values[self.index(query.candidate), self.level])
        value = float("nan") if query.candidate in self.options.get("nan", []) else value
        return Observation(query.candidate, self.name, value, None, self.price, None, {"level": self.level})


class PricedOracle(TableOracle):
    """Answers from the table; what an answer costs depends on the candidate, and is told once its `low` is known."""

    def price_of(self, candidate: str) -> float:
        """Return one to five times the declared price."""
        return self.price * (1 + self.index(candidate) % 5)

    def expected_prices_eur(self, known: Mapping[str, Mapping]) -> Mapping[str, float]:
        """Tell the prices of screened candidates."""
        return {candidate: self.price_of(candidate) for candidate, details in known.items() if "low" in details}

    def _answer(self, query: Query) -> Observation:
        return replace(super()._answer(query), price_eur=self.price_of(query.candidate))


class StructuredOracle(TableOracle):
    """Answers from the table with a crystal of rock salt; every third candidate's atoms overlap."""

    def _answer(self, query: Query) -> Observation:
        edge_a = 2.0 if self.index(query.candidate) % 3 == 0 else 5.64
        return replace(super()._answer(query), details={"structure": salt(edge_a)})


def salt(edge_a: float) -> dict[str, list]:
    """Return the crystal of rock salt as oracles report it."""
    sodium = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
    chlorine = [[0.5, 0.5, 0.5], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]]
    numbers = [11] * len(sodium) + [17] * len(chlorine)
    return {"cell": (edge_a * np.eye(3)).tolist(), "scaled_positions": sodium + chlorine, "numbers": numbers}


class BackgroundOracle(TableOracle):
    """Answers from the table after a delay; a job outlives the process that submitted it, as a queue's would."""

    def submit(self, queries: Sequence[Query]) -> Sequence[str]:
        """Start a job per query unless it is there already."""
        for query in queries:
            job = self._folder() / query.candidate
            if not job.exists():
                draft = job.with_suffix(".new")
                late = self.options.get("stagger", 0) * (self.index(query.candidate) % 3)
                draft.write_text(str(time.time() + self.options["seconds"] * (1 + late)))
                # The work counts from here on: a kill before this line has started nothing.
                draft.rename(job)
                with self.log.open("a") as file:
                    file.write(json.dumps(query.key) + "\n")
            self.asked[query.key] = (query, float(job.read_text()))
        return [query.key for query in queries]

    def collect(self) -> Sequence[Observation]:
        """Hand over what is due by now."""
        due = [key for key, (_, when) in self.asked.items() if when <= time.time()]
        return [self._answer(self.asked.pop(key)[0]) for key in due]

    def withdraw(self, queries: Sequence[Query]) -> Sequence[str]:
        """Take back what is not due yet."""
        gone = [query.key for query in queries if self.asked.get(query.key, (query, 0.0))[1] > time.time()]
        for key in gone:
            (self._folder() / self.asked.pop(key)[0].candidate).unlink()
        return gone

    def running(self) -> Sequence[str]:
        """Say what is not due yet."""
        return list(self.asked)

    @cached_property
    def asked(self) -> dict[str, tuple[Query, float]]:
        """Jobs this process waits for."""
        return {}

    def _folder(self) -> Path:
        folder = self.log.parent / "jobs" / self.name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


RAW = {
    "campaign": {
        "name": "synthetic", "seed": 3, "budget_eur": 4000.0, "best": "lowest", "top": 3, "value_of_hit_eur": 2000.0,
    },
    "property": {"name": "synthetic_energy", "unit": "eV/atom", "typical_value": 0.0, "typical_spread": 0.5},
    "candidates": {"source": "synthetic"},
    "fidelity": [
        {"name": "low", "oracle": "table", "price_eur": 0.001, "latency_hours": 0.0, "capacity": 1000,
         "noise_sd": 0.0, "options": {"level": 0}},
        {"name": "middle", "oracle": "table", "price_eur": 1.0, "latency_hours": 1.0, "capacity": 4,
         "noise_sd": 0.0, "requires": ["low"], "options": {"level": 1}},
        {"name": "high", "oracle": "table", "price_eur": 300.0, "latency_hours": 120.0, "capacity": 3,
         "noise_sd": 0.02, "target": True, "options": {"level": 2}},
    ],
}  # fmt: skip


def config(**campaign: object) -> CampaignConfig:
    """Return the synthetic campaign with keys of ``[campaign]`` replaced."""
    return parse({**RAW, "campaign": {**RAW["campaign"], **campaign}}, Path("synthetic.toml"))


def asking(**question: object) -> CampaignConfig:
    """Return the synthetic campaign with another question."""
    keys = ("best", "top", "value_of_hit_eur")
    head = {key: value for key, value in RAW["campaign"].items() if key not in keys}
    return parse({**RAW, "campaign": {**head, **question}}, Path("synthetic.toml"))


def with_options(name: str, **options: object) -> CampaignConfig:
    """Return the synthetic campaign with options of one fidelity's oracle replaced."""
    rungs = [
        {**rung, "options": {**rung["options"], **options}} if rung["name"] == name else rung
        for rung in RAW["fidelity"]
    ]
    return parse({**RAW, "fidelity": rungs}, Path("synthetic.toml"))


def priced(**campaign: object) -> CampaignConfig:
    """Return the synthetic campaign where the price of `middle` depends on the candidate."""
    rungs = [{**rung, "oracle": "priced"} if rung["name"] == "middle" else rung for rung in RAW["fidelity"]]
    return parse({**RAW, "campaign": {**RAW["campaign"], **campaign}, "fidelity": rungs}, Path("synthetic.toml"))


def structured(**constraints: object) -> CampaignConfig:
    """Return the synthetic campaign whose `low` reports structures, under constraints."""
    rungs = [{**rung, "oracle": "structured"} if rung["name"] == "low" else rung for rung in RAW["fidelity"]]
    return parse({**RAW, "fidelity": rungs, "constraints": constraints}, Path("synthetic.toml"))


def in_background(seconds: float = 0.15, stagger: int = 0, **campaign: object) -> CampaignConfig:
    """Return a campaign whose oracles take `seconds` for an answer, some longer, and which takes many small steps."""
    rungs = [
        {
            **rung,
            "oracle": "background",
            "capacity": min(rung["capacity"], 6),
            "options": {**rung["options"], "seconds": seconds, "stagger": stagger},
        }
        for rung in RAW["fidelity"]
    ]
    return parse({**RAW, "campaign": {**RAW["campaign"], **campaign}, "fidelity": rungs}, Path("synthetic.toml"))


def register() -> None:
    """Make the synthetic pool and oracle known as plug-ins of this process."""
    ours = {
        "mfal.pools": {"synthetic": "pool"},
        "mfal.oracles": {
            "table": "TableOracle",
            "background": "BackgroundOracle",
            "priced": "PricedOracle",
            "structured": "StructuredOracle",
        },
    }
    original = mfal.oracle.entry_points

    def entry_points(group: str):
        found = list(original(group=group))
        return found + [
            EntryPoint(name, f"tests.synthetic:{attribute}", group) for name, attribute in ours.get(group, {}).items()
        ]

    mfal.oracle.entry_points = entry_points

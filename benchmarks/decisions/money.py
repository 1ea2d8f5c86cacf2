"""Money to the k-th hit: our policy beside BoTorch, the funnel and chance, on paired seeds.

The peers' campaigns take hours on two cores and do not depend on our code, so they are kept, one JSON line each, in
RECORDED and only those missing are run; delete the file to run all. Ours are run anew every time. To use a larger
machine for the peers:  python -m benchmarks.decisions.money --workers 16 --record FILE TASK.npz ...
"""

import argparse
import json
import os
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.decisions.baselines import funnel, random_eur
from benchmarks.decisions.curves import Propose, Ratio, ratio_interval, run_arm
from benchmarks.decisions.tasks import Task, load

RECORDED = Path(__file__).parent.parent / "results" / "decisions_money.jsonl"
PEERS = ("botorch_multitask_ei", "botorch_mf_mes", "botorch_single_ei")
SEEDS, BATCH = 30, 5
# A campaign that has not reached its goal at this many target prices is counted at that money, in the peers' favour.
LIMIT_PRICES = 200


@dataclass(frozen=True)
class Campaign:
    """One campaign of one arm; `eur` is what it paid until its goal, or the limit."""

    task: str
    arm: str
    seed: int
    eur: float
    hits: int
    queries: tuple[int, ...]
    seconds: float


def measure_money(smoke: bool) -> dict[str, Any]:
    """Return ratios of mean money with their bootstrap intervals, task by task."""
    from benchmarks.decisions.suite import suite

    seeds, figures = (2 if smoke else SEEDS), {}
    for task in suite(smoke):
        name = task.name.replace(" ", "_")
        ours = np.array([_ours(task, seed).eur for seed in range(seeds)])
        others = {"funnel": np.array([campaign(task, "funnel", seed).eur for seed in range(seeds)])}
        others |= {arm: money for arm in PEERS if (money := _recorded(task, arm, seeds)) is not None}
        figures |= {f"eur_ours_{name}": round(float(ours.mean()), 0), f"seeds_{name}": seeds}
        figures[f"eur_random_{name}"] = round(random_eur(task), 0)
        peers = {arm: money for arm, money in others.items() if arm in PEERS}
        if peers:
            better = min(peers, key=lambda arm: peers[arm].mean())
            figures |= {f"better_botorch_{name}": better}
            figures[f"money_ratio_{name}"] = round(ratio_interval(ours, peers[better]).ratio, 3)
        for arm, money in others.items():
            figures |= _figures(name, arm, float(money.mean()), ratio_interval(ours, money))
    return figures


def campaign(task: Task, arm: str, seed: int, step: Propose | None = None) -> Campaign:
    """Run one campaign of an arm, named as in `peers` or ``funnel``, or of `step`."""
    propose: Propose = _arm(arm) if step is None else step
    started, limit = time.perf_counter(), LIMIT_PRICES * task.price_eur[task.target]
    curve = run_arm(propose, task, seed, BATCH, limit)
    queries = tuple(sum(query[1] == level for query in curve.queries) for level in range(len(task.price_eur)))
    eur = min(curve.money_to_goal, limit)
    return Campaign(task.name, arm, seed, eur, len(curve.hit_eur), queries, round(time.perf_counter() - started, 1))


def _arm(name: str) -> Propose:
    return funnel if name == "funnel" else getattr(import_module("benchmarks.decisions.peers"), name)


def run_peers(paths: Sequence[Path], arms: Iterable[str], seeds: int, workers: int, record: Path) -> None:
    """Run the peers' campaigns that are not recorded yet, several at once, and record each as it ends."""
    done = {(run.task, run.arm, run.seed) for run in read(record)}
    names = {path: load(path).name for path in paths}
    jobs = [(path, arm, seed) for seed in range(seeds) for path in paths for arm in arms]
    left = [job for job in jobs if (names[job[0]], *job[1:]) not in done]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for future in as_completed([pool.submit(_job, *job) for job in left]):
            with record.open("a") as file:
                file.write(json.dumps(asdict(future.result())) + "\n")


def read(record: Path) -> list[Campaign]:
    """Return recorded campaigns."""
    lines = record.read_text().splitlines() if record.exists() else []
    return [Campaign(**{**row, "queries": tuple(row["queries"])}) for row in map(json.loads, lines)]


def _job(path: Path, arm: str, seed: int) -> Campaign:
    return campaign(load(path), arm, seed)


def _ours(task: Task, seed: int) -> Campaign:
    from benchmarks.decisions.ours import Ours

    return campaign(task, "ours", seed, Ours(nonlinear=False))


def _recorded(task: Task, arm: str, seeds: int) -> np.ndarray | None:
    money = {run.seed: run.eur for run in read(RECORDED) if (run.task, run.arm) == (task.name, arm)}
    return np.array([money[seed] for seed in range(seeds)]) if set(range(seeds)) <= set(money) else None


def _figures(task: str, arm: str, eur: float, ratio: Ratio) -> dict[str, float]:
    return {f"eur_{arm}_{task}": round(eur, 0)} | ratio.figures(f"money_ratio_{arm}_{task}")


def main() -> None:
    """Run the peers' campaigns on saved tasks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decisions.money")
    parser.add_argument("tasks", nargs="+", type=Path, help="tasks saved with benchmarks.decisions.tasks.save")
    parser.add_argument("--arms", nargs="+", default=PEERS)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--record", type=Path, default=RECORDED)
    options = parser.parse_args()
    run_peers(options.tasks, options.arms, options.seeds, options.workers, options.record)


if __name__ == "__main__":
    main()

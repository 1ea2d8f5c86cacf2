"""The first campaign end to end, and what ten kills do to it."""

import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.kills import MFAL, count_events, run_uninterrupted, run_with_kills

EXAMPLE = Path("examples/intermetallics.toml")
KILLS, SMOKE_KILLS = 10, 2


def measure(smoke: bool) -> dict[str, Any]:
    """Run the example from nothing, then its short form uninterrupted and with kills.

    Nothing is taken from earlier runs: every campaign has a calculation cache of its own.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        campaign = _campaign(place, smoke)
        return {**campaign, **_kills(place, SMOKE_KILLS if smoke else KILLS)}


def _campaign(place: Path, smoke: bool) -> dict[str, Any]:
    from mfal.report.reading import read_campaign

    directory, arguments = place / "campaign", [str(_own_cache(place, "first")), *(["--fast"] if smoke else [])]
    started = time.perf_counter()
    subprocess.run([*MFAL, "run", *arguments, "--directory", str(directory)], check=True)
    minutes = (time.perf_counter() - started) / 60.0
    summary = read_campaign(directory).summary
    score = summary.score
    if score is None:
        raise RuntimeError(f"{EXAMPLE} has no replayed target: the score cannot be computed")
    return {
        "top5_found": len(score.found),
        "top": len(score.hits),
        "eur_spent": round(summary.spent_eur, 3),
        "eur_funnel": None if score.eur_funnel is None else round(score.eur_funnel, 3),
        "eur_random": round(score.eur_random, 1),
        "minutes": round(minutes, 2),
        "dft_jobs": summary.asked["gpaw"],
        "measurements": summary.asked["calorimetry"],
        "seed": summary.config.campaign.seed,
    }


def _kills(place: Path, kills: int) -> dict[str, Any]:
    whole = run_uninterrupted([str(_own_cache(place, "whole")), "--fast"], place / "whole")
    events = count_events(place / "whole")
    arguments = [str(_own_cache(place, "broken")), "--fast"]
    broken, survived = run_with_kills(arguments, place / "broken", kills, events, seed=1)
    return {
        "kills_survived": survived,
        "paid_twice": len(broken.keys) - len(set(broken.keys)),
        "same_paid_queries": sorted(broken.keys) == sorted(whole.keys),
        "same_order": broken.keys == whole.keys,
        "same_eur": broken.eur == whole.eur,
    }


def _own_cache(place: Path, name: str) -> Path:
    copy = place / f"{name}.toml"
    text = EXAMPLE.read_text(encoding="utf-8")
    copy.write_text(text.replace('cache = "runs/cache"', f'cache = "{place / name}-cache"'), encoding="utf-8")
    return copy

"""The account of a campaign on AiiDA that is killed again and again, beside one that is left in peace."""

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.kills import count_events, run_uninterrupted, run_with_kills

EXAMPLE = Path("examples/intermetallics.toml")
KILLS, SMOKE_KILLS = 10, 1
QUEUE = '\n[dft.queue]\nengine = "aiida"\n'


def measure_account(smoke: bool) -> dict[str, Any]:
    """Return whether the same queries were paid once each and in the same order, and how many kills met a campaign."""
    with tempfile.TemporaryDirectory(prefix="mfal-account-") as folder:
        arguments = [str(_campaign_file(Path(folder))), "--fast"]
        undisturbed = run_uninterrupted(arguments, Path(folder) / "undisturbed")
        events = count_events(Path(folder) / "undisturbed")
        kills = SMOKE_KILLS if smoke else KILLS
        killed, survived = run_with_kills(arguments, Path(folder) / "killed", kills, events, seed=0)
    return {
        "account_exact": killed == undisturbed and len(set(killed.keys)) == len(killed.keys),
        "account_kills": survived,
        "account_eur": round(killed.eur, 3),
    }


def _campaign_file(folder: Path) -> Path:
    """Write the example for AiiDA, each run with a cache of its own: nothing may be known from the other one."""
    lines = EXAMPLE.read_text().splitlines()
    path = folder / "campaign.toml"
    path.write_text("\n".join(line for line in lines if not line.startswith("cache = ")) + QUEUE)
    return path

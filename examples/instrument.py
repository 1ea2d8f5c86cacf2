"""An instrument at the door of a campaign.

A campaign decides what to measure; an instrument asks for it over HTTP, measures and reports. The instrument here is
simulated: a calorimeter that knows pymatgen's table of measured formation energies, adds its own noise, drops a
sample now and then, and reports in meV/atom. Everything else is what instrument software would do, with Python's
standard library alone.

    python examples/instrument.py [--fast]
"""

# %%
import json
import os
import random
import secrets
import subprocess
import sys
import time
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

from physics.experiment.replay import measured_compounds

HERE = Path(__file__).parent
MFAL = [sys.executable, "-m", "mfal.cli"]

# %% [markdown]
# ## What instrument software needs: two calls and a token


# %%
def call(url: str, token: str, content: bytes | None = None) -> dict:
    """Send a request and return the answer; without content it is a GET."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    with urlopen(Request(url, content, headers), timeout=300) as answer:
        return json.load(answer)


def report(url: str, token: str, results: list[dict]) -> dict:
    """Report results. Where an answer is lost on the way it is safe to report again: nothing is taken in twice."""
    document = {"schema_version": "mfal.results/1", "results": results}
    return call(f"{url}/results", token, json.dumps(document).encode())


# %% [markdown]
# ## The simulated calorimeter

# %%
TRUTH = {compound.formula: compound.formation_energy_ev_per_atom for compound in measured_compounds()}
NOISE_MEV, DROPPED = 30.0, 0.05


def measure(query: dict, rng: random.Random) -> dict:
    """Return one result, or the reason why there is none."""
    common = {"id": query["id"], "measured_on": date.today().isoformat(), "extra": {"instrument": "simulated"}}
    if rng.random() < DROPPED:
        return {**common, "failure": "sample dropped", "steps": {"weighed": True, "melted": False}}
    value = 1000 * TRUTH[query["candidate"]] + rng.gauss(0.0, NOISE_MEV)
    steps = {"weighed": True, "melted": True, "measured": True}
    return {**common, "value": round(value, 1), "unit": "meV/atom", "uncertainty": NOISE_MEV, "steps": steps}


# %% [markdown]
# ## Start a campaign and serve it
#
# In a laboratory these two commands run on the campaign's machine, once.

# %%
directory = Path("runs") / f"instrument-{datetime.now(UTC):%Y%m%d-%H%M%S}"
fast = ["--fast"] if "--fast" in sys.argv else []
subprocess.run([*MFAL, "ask", directory, "--start", HERE / "instrument.toml", *fast], check=True)

token, port = secrets.token_urlsafe(32), 8484
url = f"http://127.0.0.1:{port}"
served = [*MFAL, "serve", directory, "--port", str(port)]
server = subprocess.Popen(served, env={**os.environ, "MFAL_TOKEN": token})


def wait_for_server() -> None:
    """Ask for the status until the server answers."""
    for _ in range(600):
        try:
            call(f"{url}/status", token)
            return
        except URLError:
            time.sleep(0.1)
    raise RuntimeError(f"nothing answers at {url}; is the port in use?")


# %% [markdown]
# ## Measure until the campaign has had enough

# %%
rng = random.Random(1)
try:
    wait_for_server()
    while (batch := call(f"{url}/batch", token))["state"] != "stopped":
        for query in batch["queries"]:
            result = measure(query, rng)
            receipt = report(url, token, [result])
            outcome = result.get("failure") or f"{result['value']:.1f} meV/atom"
            print(f"{query['candidate']}: {outcome}; recorded {receipt['recorded']}")
    status = call(f"{url}/status", token)
    print(f"{status['answers']} answers for EUR {status['spent_eur']:,.2f}; stopped: {status['stopped']}")
finally:
    server.terminate()
    server.wait()

# %% [markdown]
# ## What is left for a person
#
# Results far from what was predicted wait for a signature; the rest was decided automatically.

# %%
subprocess.run([*MFAL, "review", directory], check=True)
subprocess.run([*MFAL, "verify", directory, "--replay"], check=True)

"""How often a campaign compiles again while its data grow."""

from typing import Any

import jax

from benchmarks.decisions.ours import Ours
from benchmarks.decisions.speed import campaign

# Within the room that our arm makes for 256 measurements.
POOL, CHEAP, DEAR, FEATURES, BATCH = 400, 40, 20, 15, 4
# The first decisions compile everything; the others are counted.
WARM, DECISIONS = 3, 24
_EVENT = "/jax/core/compile/backend_compile_duration"


def measure_compilations(smoke: bool) -> dict[str, Any]:
    """Return the compilations of the first decisions and of those after them."""
    compiled: list[float] = []

    def listen(event: str, duration_secs: float, **_: str | int) -> None:
        if event == _EVENT:
            compiled.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(listen)
    arm, (task, known) = Ours(), campaign(POOL, CHEAP, DEAR, FEATURES)
    first = decided = 0
    for decided in range(WARM + (2 if smoke else DECISIONS)):
        first = len(compiled) if decided == WARM else first
        for query in arm(known, task, BATCH, 0):
            known.observed[query], known.values[query] = True, task.values[query]
    return {
        "recompilations": len(compiled) - first,
        "counted_decisions": decided + 1 - WARM,
        "first_compilations": first,
    }

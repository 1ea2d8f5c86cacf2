"""What one decision moves and computes, beside what the device could do in the time it takes."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from benchmarks.timing import seconds_of
from benchmarks.whatif.speed import CANDIDATES, DECISIONS
from benchmarks.whatif.tasks import timed_campaign
from mfal.whatif.simulate import first_moment, prepared
from mfal.whatif.spread import bytes_of, in_precision


def measure_roofline(campaigns_per_min: float, single: bool, smoke: bool) -> dict[str, Any]:
    """Return bytes and operations of one decision, the bandwidth measured by a copy, and the share of it in use.

    The bytes are counted by hand, as the least that the algorithm moves: the factor of the one fidelity that is asked
    is read and a row of it written, and beliefs, tables and gains of all pairs are read and written once. Operations:
    a multiplication and an addition for each number of the factor, and some two hundred for every pair's gain.

    Args:
        campaigns_per_min: measured.
        single: in single precision.
        smoke: the short form.
    """
    size, steps = (60, 5) if smoke else (CANDIDATES, DECISIONS)
    policy, state = timed_campaign(size, 1)
    levels, width = len(policy.price_eur), 4 if single else 8
    factor = steps * size
    tables = size * (levels * (3 * width + 1) + 2 * levels**2 * width + 2 * levels * width)
    moved, operations = (factor + size) * width + 2 * tables, 2 * factor + 200 * size * levels
    bandwidth, decision = _bandwidth(smoke), 60.0 / campaigns_per_min / steps
    carried = bytes_of(prepared(policy, first_moment(policy, state), steps, frozen=True)) * (0.5 if single else 1.0)
    return {
        "decision_us": round(1e6 * decision, 3),
        "roofline_bytes_per_decision": moved,
        "roofline_operations_per_decision": operations,
        "roofline_bytes_carried_per_campaign": round(carried),
        "roofline_bandwidth_gb_s": round(bandwidth / 1e9, 1),
        "roofline_least_us": round(1e6 * moved / bandwidth, 3),
        "roofline_share_of_bandwidth": round(moved / bandwidth / decision, 3),
    }


def _bandwidth(smoke: bool) -> float:
    """Return bytes a second that a copy reads and writes, the best of five."""
    with in_precision(True, jnp.zeros(10_000_000 if smoke else 250_000_000, jnp.float32)) as data:
        add = eqx.filter_jit(lambda array: array + 1.0)
        jax.block_until_ready(add(data))
        best = seconds_of(lambda: jax.block_until_ready(add(data)), 5)
        return 2.0 * data.nbytes / best

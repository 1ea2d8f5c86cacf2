"""What a single point computes and moves, beside what this device could do in the time it takes."""

import inspect
import math
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.record import UnavailableError
from benchmarks.screening.ours import packed
from benchmarks.screening.tasks import Counts
from benchmarks.timing import seconds_of
from physics.mlip.chgnet_potential import ChgnetPotential
from physics.mlip.packing import Stack
from physics.mlip.single_points import predict_stack
from physics.mlip.weights import FEATURES

REPEATS = 5


def measure_floor(potential: ChgnetPotential, counts: Counts) -> dict[str, Any]:
    """Return operations, bytes and memory of a perovskite, and the least time that they take.

    Operations are those of the matrix products in the program as it is written: XLA cannot look into the libraries that
    it calls for them. Bytes are counted in the compiled one, after its parts were fused.
    """
    stack = packed(potential, counts.draw("perovskites", counts.points[0]))[0]
    structures = len(stack.members[0])
    # one batch: the loop over those of a stack runs as often as there are, which XLA does not know and counts once
    function, inputs = inspect.unwrap(predict_stack), (potential.weights, stack.crystals, jnp.int32(1))
    compiled = jax.jit(function).lower(*inputs, stack.capacities).compile()
    operations = _products(jax.make_jaxpr(lambda *given: function(*given, stack.capacities))(*inputs).jaxpr)
    moved = _cost(compiled, "bytes accessed")
    rates = {"floor_tflop_s": _operations_a_second() / 1e12, "floor_gb_s": _bytes_a_second(stack) / 1e9}
    return floor_figures(operations / structures, moved / structures, rates) | _memory(compiled, structures)


def floor_figures(operations: float, moved: float, rates: dict[str, float]) -> dict[str, Any]:
    """Name the floor of one structure: the slower of computing and moving."""
    compute, move = 1e3 * operations / (1e12 * rates["floor_tflop_s"]), 1e3 * moved / (1e9 * rates["floor_gb_s"])
    return rates | {
        "floor_gflop_per_single_point": operations / 1e9,
        "floor_mb_per_single_point": moved / 1e6,
        "floor_compute_ms_per_single_point": compute,
        "floor_move_ms_per_single_point": move,
        "floor_ms_per_single_point": max(compute, move),
    }


def _products(program: Any) -> float:
    """Count multiplications and additions of all matrix products in a traced program and in those that it calls."""
    operations = 0.0
    for step in program.eqns:
        if step.primitive.name == "dot_general":
            (summed, _), _ = step.params["dimension_numbers"]
            shape = step.invars[0].aval.shape
            operations += 2.0 * math.prod(step.outvars[0].aval.shape) * math.prod(shape[axis] for axis in summed)
        inner = [part for value in step.params.values() for part in (value if isinstance(value, tuple) else (value,))]
        operations += sum(_products(getattr(part, "jaxpr", part)) for part in inner if _is_program(part))
    return operations


def _is_program(part: Any) -> bool:
    return hasattr(getattr(part, "jaxpr", part), "eqns")


def _cost(program: Any, name: str) -> float:
    cost = program.cost_analysis()
    cost = cost[0] if isinstance(cost, list) else cost
    if not cost or name not in cost:
        raise UnavailableError(f"XLA does not tell the {name} of a program for this device")
    return float(cost[name])


def _memory(compiled: Any, structures: int) -> dict[str, Any]:
    """Return what XLA asks for beside arguments and answers, or else the most that the device has held."""
    analysis = compiled.memory_analysis()
    if analysis is not None:
        return {"gb_per_structure": analysis.temp_size_in_bytes / 1e9 / structures}
    stats = jax.local_devices()[0].memory_stats() or {}
    return {"gb_per_structure": stats["peak_bytes_in_use"] / 1e9 / structures} if "peak_bytes_in_use" in stats else {}


def _operations_a_second() -> float:
    """Return the rate of a product of square matrices in full float32."""
    size = 1024 if jax.default_backend() == "cpu" else 8192
    matrix = jnp.ones((size, size), jnp.float32)
    product = jax.jit(lambda one: jnp.matmul(one, one, precision=jax.lax.Precision.HIGHEST))
    return 2 * size**3 / _fastest(product, matrix)


def _bytes_a_second(stack: Stack) -> float:
    """Return the rate of a copy of an array as large as the messages of a batch: on a CPU it may fit a cache."""
    messages = jnp.zeros((2 * stack.capacities.bonds, 2 * FEATURES), jnp.float32)
    return 2 * messages.nbytes / _fastest(jax.jit(lambda array: array + 1), messages)


def _fastest(function: Any, array: jax.Array) -> float:
    jax.block_until_ready(function(array))
    return seconds_of(lambda: jax.block_until_ready(function(array)), REPEATS)

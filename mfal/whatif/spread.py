"""How many campaigns are simulated together, on which devices, and in which precision."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from mfal.types import Array, PRNGKeyArray

Tree = TypeVar("Tree")
# On a processor: enough to make up for the overhead of an operation, few enough for its cache; and how many such lots
# share what drawing worlds costs once.
ON_PROCESSOR, LOTS = 32, 8
# On an accelerator: more are no faster.
ON_ACCELERATOR = 16384
# Parts at once on an accelerator: one is simulated while the other comes home.
AHEAD = 2
# Working memory beside what a campaign carries, as a multiple of it (measured: 1.6 to 2.2), and the share of the
# device's memory that may be filled.
WORKING, SHARE = 3.0, 0.7
# Memory that is assumed where a device does not tell.
_UNKNOWN = 8 * 2**30


@dataclass(frozen=True)
class Batches:
    """How a study is cut into parts.

    Attributes:
        campaigns: in all.
        size: campaigns in a part on each device.
        together: of these, side by side; the lots follow one another.
        devices: that share a part.
        workers: parts that run side by side.
        single: in single precision.
    """

    campaigns: int
    size: int
    together: int
    devices: int
    workers: int
    single: bool

    @property
    def starts(self) -> range:
        """Number of the first campaign of every part."""
        return range(0, self.campaigns, self.size * self.devices)


def batches(carried: Any, campaigns: int, single: bool) -> Batches:
    """Return how to cut a study, from what a campaign carries and what the devices hold."""
    devices = jax.local_devices()
    if devices[0].platform == "cpu":
        lots = min(LOTS, -(-campaigns // ON_PROCESSOR))
        # One after the other: two that run at once can wait for each other's share of XLA's threads for ever.
        return Batches(campaigns, lots * ON_PROCESSOR, ON_PROCESSOR, 1, 1, single)
    each = AHEAD * WORKING * bytes_of(carried) * (0.5 if single else 1.0)
    fits = int(SHARE * _memory(devices[0]) / each)
    wanted = -(-campaigns // len(devices))
    size = max(1, min(fits, ON_ACCELERATOR, wanted))
    return Batches(campaigns, size, size, len(devices), AHEAD, single)


def bytes_of(carried: Any) -> int:
    """Return the bytes that one campaign carries through its decisions."""
    return sum(leaf.nbytes for leaf in jax.tree.leaves(carried) if eqx.is_array(leaf))


@contextmanager
def in_precision(single: bool, tree: Tree) -> Iterator[Tree]:
    """Give the tree in the precision that computations have inside."""
    with jax.enable_x64(not single):
        yield jax.tree.map(_lowered, tree) if single else tree


def over_devices(batch: Callable[[Any, PRNGKeyArray], Tree], run: Any, devices: int, key: PRNGKeyArray) -> Tree:
    """Return ``batch(run, key)``, compiled; several devices have a key each, and their results follow in order."""
    return _compiled(batch, run, key) if devices == 1 else _shared(batch, run, jax.random.split(key, devices))


@eqx.filter_jit
def _compiled(batch: Callable, run: Any, key: PRNGKeyArray) -> Any:
    return batch(run, key)


@eqx.filter_jit
def _shared(batch: Callable, run: Any, keys: Array) -> Any:
    arrays, static = eqx.partition(run, eqx.is_array)
    mesh = Mesh(np.array(jax.local_devices()[: keys.shape[0]]), ("campaigns",))
    all_of, one_each = PartitionSpec(), PartitionSpec("campaigns")

    @partial(jax.shard_map, mesh=mesh, in_specs=(all_of, one_each), out_specs=one_each, check_vma=False)
    def on_each(arrays: Any, keys: Array) -> Any:
        return batch(eqx.combine(arrays, static), keys[0])

    return on_each(arrays, keys)


def _memory(device: Any) -> int:
    return (device.memory_stats() or {}).get("bytes_limit", _UNKNOWN)


def _lowered(leaf: Any) -> Any:
    if eqx.is_inexact_array(leaf):
        return leaf.astype(jnp.float32)
    wide = eqx.is_array(leaf) and jnp.issubdtype(leaf.dtype, jnp.integer) and leaf.dtype.itemsize > 4
    return leaf.astype(jnp.int32) if wide else leaf

"""What a structure needs of the device's memory, and what there is."""

import os

import jax
import numpy as np

from physics.mlip.sizes import Sizes

# Fitted to one measurement: XLA asked an H100 for 5.3 GB for 186 000 bonds with 507 000 angles. A CPU's programs ask
# for about four times as much.
BYTES_PER_BOND, BYTES_PER_ANGLE = 18_000, 5_000


def needed_memory_gb(sizes: Sizes) -> np.ndarray:
    """Return what a batch of each structure alone takes, shape (structures,)."""
    return (BYTES_PER_BOND * sizes.bonds + BYTES_PER_ANGLE * sizes.angles) / 1e9


def device_memory_gb() -> float:
    """Return what JAX may take of the device's memory; of a CPU, four fifths of the machine's."""
    stats = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" in stats:
        return stats["bytes_limit"] / 1e9
    return 0.8 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9

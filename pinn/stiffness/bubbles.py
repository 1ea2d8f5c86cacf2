"""One smooth bubble for each grain: zero outside and on its boundary, with a slope there, so that gradients may jump.

Saint-Venant's torsion function of a grain, -lap s = 1 with s = 0 on the boundary of the grain, over its largest value.
The edge of the window is no boundary: no slope is asked for there.
"""

from functools import reduce
from itertools import product

import numpy as np
import scipy.sparse
from jaxtyping import Float, Int
from scipy.sparse.linalg import splu


def bubbles(grain_map: Int[np.ndarray, "*cells"]) -> Float[np.ndarray, "grains *nodes"]:
    """Return the bubble of each grain at the corners of the cells, between 0 and 1."""
    around = _around(grain_map)
    grain, inside = around[0], np.all(around == around[0], axis=0)
    kept, raised = np.flatnonzero(inside), np.zeros(inside.shape)
    if kept.size:
        # The least shift keeps a window of one grain, which has no boundary at all, from being singular.
        operator = _minus_laplacian(inside.shape)[kept][:, kept] + 1e-9 * scipy.sparse.eye_array(kept.size)
        raised[inside] = splu(operator.tocsc()).solve(_volumes(inside.shape).ravel()[kept])
    own = np.stack([np.where(inside & (grain == one), raised, 0.0) for one in range(int(grain_map.max()) + 1)])
    tops = own.reshape(len(own), -1).max(axis=1)
    return own / np.where(tops > 0.0, tops, 1.0).reshape(-1, *[1] * grain_map.ndim)


def _around(grain_map: Int[np.ndarray, "*cells"]) -> Int[np.ndarray, "corners *nodes"]:
    """Return the grains of the cells that meet at each node."""
    padded = np.pad(grain_map, 1, mode="edge")
    steps = product((0, 1), repeat=grain_map.ndim)
    places = [tuple(slice(s, s + n + 1) for s, n in zip(step, grain_map.shape, strict=True)) for step in steps]
    return np.stack([padded[place] for place in places])


def _volumes(nodes: tuple[int, ...]) -> Float[np.ndarray, "*nodes"]:
    """Return the volume that belongs to each node: half a cell less at each edge."""
    lengths = [np.where((np.arange(n) % (n - 1)) == 0, 0.5, 1.0) for n in nodes]
    return reduce(np.multiply.outer, lengths, np.ones(()))


def _minus_laplacian(nodes: tuple[int, ...]) -> scipy.sparse.csr_array:
    """Return minus the second differences along all axes times volumes, without slope at the edges."""
    total = scipy.sparse.csr_array((int(np.prod(nodes)),) * 2)
    for axis, count in enumerate(nodes):
        steps = scipy.sparse.eye_array(count - 1, count, k=1) - scipy.sparse.eye_array(count - 1, count)
        before, after = (scipy.sparse.diags_array(_volumes(part).ravel()) for part in (nodes[:axis], nodes[axis + 1 :]))
        total = total + scipy.sparse.kron(scipy.sparse.kron(before, steps.T @ steps), after)
    return scipy.sparse.csr_array(total)

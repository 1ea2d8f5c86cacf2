"""Crystals that the tests of graphs and of CHGNet share."""

import numpy as np
import pytest


@pytest.fixture(scope="module")
def cells():
    """Return tiny, long, sheared and wrapped cells, then varied ones."""
    from ase import Atoms
    from ase.build import bulk

    from benchmarks.screening.cells import varied

    rng = np.random.default_rng(7)
    single = Atoms("Fe", cell=[[2.4, 0.1, 0.0], [0.2, 2.5, 0.1], [0.0, -0.3, 2.6]], pbc=True)
    needle = Atoms("TiO", positions=[[0, 0, 0], [1.2, 1.2, 1.2]], cell=[2.4, 2.6, 19.0], pbc=True)
    sheared = bulk("NaCl", "rocksalt", 5.6)
    sheared.set_cell([[1, 0, 0], [3, 1, 0], [-2, 4, 1]] @ sheared.cell)
    outside = bulk("GaAs", "zincblende", 5.65, cubic=True)
    outside.rattle(0.1, seed=1)
    outside.positions += [31.0, -57.0, 12.0]
    return [single, needle, sheared, outside, *(varied(rng, 60) for _ in range(36))]

"""Encoders: good ones pass the diagnosis, broken ones are caught by the change that breaks them."""

import numpy as np
import pytest

pytest.importorskip("ase")

from ase import Atoms
from ase.data import atomic_numbers, covalent_radii
from ase.neighborlist import neighbor_list

from mfal.errors import MfalError
from physics.encoders import composition_encoder
from physics.mlip.embedding import EncodingError, embeddings, invariance
from physics.mlip.potential import Prediction, Refusal

CELL = [[3.9, 0.1, 0.0], [0.2, 3.8, 0.0], [0.0, -0.3, 4.1]]
CUTOFF_A = 5.0


@pytest.fixture
def crystal():
    sites = np.array([[0, 0, 0], [1, 1, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]]) / 2
    atoms = Atoms("SrTiO3", scaled_positions=sites, cell=CELL, pbc=True)
    atoms.rattle(0.1, seed=0)  # without symmetry
    return atoms


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def features(atoms):
    """Return smooth features of each atom: radial, summed vectors and one of the handedness, shape (atoms, 8)."""
    owner, other, distances, vectors = neighbor_list("ijdD", atoms, CUTOFF_A)
    weight = (covalent_radii[atoms.numbers[other]] * (1 - distances / CUTOFF_A) ** 3)[:, None]
    columns = np.zeros((len(atoms), 10))
    np.add.at(columns, owner, weight * np.hstack([np.sin(np.outer(distances, [1, 2, 3, 4])), vectors, vectors**3]))
    handed = np.zeros(len(atoms))
    moments = np.zeros((3, len(atoms), 3))
    for power, moment in enumerate(moments):
        np.add.at(moment, owner, weight * vectors * distances[:, None] ** power)
    handed[:] = np.linalg.det(moments.transpose(1, 0, 2))
    return np.column_stack([columns[:, :4], columns[:, 4:7], handed])


def mean(structures):
    return np.array([features(atoms)[:, :4].mean(0) for atoms in structures])


def test_a_good_encoder_passes(crystal, rng):
    found = invariance(mean, crystal, rng)
    assert found.broken(1e-10) == ()
    assert 0 < max(found.supercell, found.rotation, found.basis)


@pytest.mark.parametrize(
    ("encoder", "broken"),
    [
        (lambda atoms: features(atoms)[:, :4].sum(0), ("supercell",)),
        (lambda atoms: abs(features(atoms)[:, 4:7]).mean(0), ("rotation",)),
        (lambda atoms: features(atoms)[:, 7].mean(keepdims=True), ("inversion",)),
        (lambda atoms: features(atoms)[0, :4], ("permutation",)),
        (lambda atoms: np.sort(atoms.get_scaled_positions().std(0)), ("supercell", "origin", "basis")),
        (lambda atoms: atoms.cell.lengths() / len(atoms), ("supercell", "basis")),
        (lambda atoms: features(atoms)[:, :4].mean(0) * (np.nan if len(atoms) > 5 else 1), ("supercell",)),
    ],
    ids=["sum", "vectors", "handedness", "first atom", "positions in the cell", "cell", "not a number"],
)
def test_a_broken_encoder_is_caught(encoder, broken, crystal, rng):
    found = invariance(lambda structures: np.array([encoder(atoms) for atoms in structures]), crystal, rng)
    assert found.broken() == broken


def test_an_encoder_that_says_nothing_is_refused(crystal, rng):
    with pytest.raises(EncodingError, match="says nothing"):
        invariance(lambda structures: np.zeros((len(structures), 4)), crystal, rng)


class Potential:
    """Refuses metals and embeds others by their size."""

    label = "fake"

    def predict(self, structures):
        """Answer."""
        none = np.zeros(0)
        refused = Refusal("metals are too hard")
        return [
            refused if "Cu" in one.symbols else Prediction(0.0, none, none, None, mean([one])[0]) for one in structures
        ]

    def relax(self, structures, settings, watch=print):
        """Never asked."""
        raise NotImplementedError


def test_embeddings_come_from_predictions(crystal):
    encode = embeddings(Potential())
    np.testing.assert_array_equal(encode([crystal, crystal]), mean([crystal, crystal]))
    with pytest.raises(EncodingError, match="fake refuses structure 1: metals are too hard"):
        encode([crystal, Atoms("Cu", cell=[3, 3, 3], pbc=True)])


@pytest.mark.slow
def test_the_sums_that_chgnet_publishes_are_caught_and_their_averages_pass(crystal, rng):
    pytest.importorskip("chgnet")
    from chgnet.model.model import CHGNet
    from pymatgen.io.ase import AseAtomsAdaptor

    model = CHGNet.load(use_device="cpu", verbose=False)

    def published(structures):
        given = [AseAtomsAdaptor.get_structure(atoms) for atoms in structures]
        return np.array(
            [model.predict_structure(one, task="e", return_crystal_feas=True)["crystal_fea"] for one in given]
        )

    def average(structures):
        return published(structures) / [[len(atoms)] for atoms in structures]

    assert invariance(published, crystal, rng).broken() == ("supercell",)
    assert invariance(average, crystal, rng).broken() == ()


def test_the_composition_is_an_encoder(crystal, rng):
    pytest.importorskip("pymatgen")
    encode = composition_encoder()
    assert encode([crystal, crystal]).shape == (2, 10)
    assert invariance(encode, crystal, rng).broken(1e-12) == ()
    oxide = atomic_numbers["O"]
    assert encode([crystal])[0, 2] == pytest.approx((2 + 4 + 3 * 16) / 5)  # groups of Sr, Ti and O
    with pytest.raises(MfalError):
        encode([Atoms([0, oxide], cell=CELL, pbc=True)])

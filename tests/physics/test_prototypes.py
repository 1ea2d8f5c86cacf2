"""Prototypes have the symmetry, the coordination and the volume that their names promise."""

import numpy as np
import pytest

from physics.experiment.replay import measured_compounds
from physics.prototypes import (
    PROTOTYPES,
    as_record,
    build,
    elemental_reference,
    from_record,
    initial_moments,
    orderings,
    primitive,
)

spglib = pytest.importorskip("spglib")
ATOMS = {
    "B1": 2,
    "B2": 2,
    "B3": 2,
    "B81": 4,
    "B11": 4,
    "B19": 4,
    "B20": 8,
    "B27": 8,
    "B32": 4,
    "B33": 4,
    "B35": 6,
    "L10": 2,
}
COORDINATION = {"B1": 6, "B2": 8, "B3": 4, "B32": 8, "L10": 12}


def space_group(atoms):
    return spglib.get_symmetry_dataset((atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers), 1e-3).number


@pytest.mark.parametrize("name", PROTOTYPES)
def test_symmetry_size_and_volume(name):
    atoms = build(name, "Zr", "Pt", 18.0)
    assert space_group(atoms) == PROTOTYPES[name].space_group
    assert len(atoms) == ATOMS[name]
    assert sorted(set(atoms.symbols)) == ["Pt", "Zr"]
    assert (atoms.symbols == "Pt").sum() == len(atoms) / 2
    assert atoms.get_volume() / len(atoms) == pytest.approx(18.0, rel=1e-6)


@pytest.mark.parametrize("name", PROTOTYPES)
def test_atoms_do_not_touch(name):
    from physics.mlip.formation import shortest_distance_a

    assert shortest_distance_a(build(name, "Zr", "Pt", 18.0)) > 2.0


@pytest.mark.parametrize(("name", "neighbours"), COORDINATION.items())
def test_coordination(name, neighbours):
    from ase.neighborlist import neighbor_list

    atoms = build(name, "Zr", "Pt", 18.0)
    distances = neighbor_list("d", atoms, 5.0)
    assert (distances < distances.min() * 1.12).sum() / len(atoms) == neighbours


def test_orderings_only_where_they_differ():
    assert orderings("B2", "Zr", "Pt") == (("Zr", "Pt"),)
    assert orderings("B33", "Zr", "Pt") == (("Zr", "Pt"), ("Pt", "Zr"))


def test_unknown_prototype_names_the_known_ones():
    with pytest.raises(ValueError, match=r"B99.*B33"):
        build("B99", "Zr", "Pt", 18.0)


@pytest.mark.parametrize(
    ("symbol", "group", "atoms"),
    [("Al", 225, 1), ("Fe", 229, 1), ("Zr", 194, 2), ("La", 194, 4), ("Ga", 64, 4), ("Sn", 227, 2)],
)
def test_elemental_references(symbol, group, atoms):
    reference = elemental_reference(symbol)
    assert (space_group(reference), len(reference)) == (group, atoms)


def test_every_element_of_the_pool_has_a_reference():
    symbols = sorted({symbol for compound in measured_compounds() for symbol in compound.elements})
    assert all(len(elemental_reference(symbol)) <= 4 for symbol in symbols)


def test_moments():
    assert initial_moments(elemental_reference("Al")) is None
    assert initial_moments(elemental_reference("Fe"))[0] > 0
    chromium = initial_moments(elemental_reference("Cr"))
    assert len(chromium) == 2
    assert chromium.sum() == 0
    assert abs(chromium[0]) > 0


def test_record_round_trip():
    atoms = build("B33", "Zr", "Pt", 18.0)
    again = from_record(as_record(atoms))
    np.testing.assert_array_equal(again.cell.array, atoms.cell.array)
    np.testing.assert_allclose(again.positions, atoms.positions, atol=1e-12)
    with pytest.raises(ValueError, match="cell"):
        from_record({"numbers": [1]})


def test_primitive_undoes_a_supercell_and_noise():
    atoms = build("B33", "Zr", "Pt", 18.0).repeat((2, 1, 1))
    atoms.rattle(1e-4, seed=0)
    ideal = primitive(atoms, 0.02)
    assert (len(ideal), space_group(ideal)) == (4, 63)

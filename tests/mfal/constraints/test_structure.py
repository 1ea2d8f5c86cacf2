import numpy as np
import pytest

pytest.importorskip("pymatgen")

from pymatgen.core import Lattice, Structure

from mfal.constraints.crystal import Crystal
from mfal.constraints.structure import Limits, density, structure_verdict
from mfal.constraints.symmetry import Site, SymmetryStatement
from mfal.constraints.verdict import Outcome
from mfal.errors import ConstraintError


def _of_group(symbol, lattice, elements, positions):
    return Crystal.of(Structure.from_spacegroup(symbol, lattice, elements, positions))


def _salt():
    return _of_group("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])


def _perovskite():
    return _of_group("Pm-3m", Lattice.cubic(4.0), ["Ba", "Ti", "O"], [[0, 0, 0], [0.5] * 3, [0.5, 0.5, 0]])


def _magnesium():
    return _of_group("P6_3/mmc", Lattice.hexagonal(3.21, 5.21), ["Mg"], [[1 / 3, 2 / 3, 0.25]])


def _corundum():
    lattice = Lattice.hexagonal(4.759, 12.991)
    return _of_group("R-3c", lattice, ["Al", "O"], [[0, 0, 0.3522], [0.3064, 0, 0.25]])


def _quartz():
    lattice = Lattice.hexagonal(4.913, 5.405)
    return _of_group("P3_221", lattice, ["Si", "O"], [[0.4697, 0, 0], [0.4135, 0.2669, 0.1191 + 2 / 3]])


def _rutile():
    return _of_group("P4_2/mnm", Lattice.tetragonal(4.594, 2.959), ["Ti", "O"], [[0, 0, 0], [0.305, 0.305, 0]])


GOOD = [
    (_salt, SymmetryStatement(225, "Fm-3m", (Site("Na", "a", 4), Site("Cl", "b", 4)), (2, 3, 4))),
    (_perovskite, SymmetryStatement(221, None, (Site("Ba", "a", 1), Site("Ti", "b", 1), Site("O", "c", 3)))),
    # The same crystal with the origin on titanium.
    (_perovskite, SymmetryStatement(221, None, (Site("Ba", "b", 1), Site("Ti", "a", 1), Site("O", "d", 3)))),
    (_magnesium, SymmetryStatement(194, "P6_3/mmc", (Site("Mg", "c", 2),), (6,))),
    (_corundum, SymmetryStatement(167, "R-3c", (Site("Al", "c", 12), Site("O", "e", 18)))),
    (_quartz, SymmetryStatement(154)),
    (_rutile, SymmetryStatement(136, "P4_2/mnm", (Site("Ti", "a", 2), Site("O", "f", 4)))),
]


@pytest.mark.parametrize(("build", "statement"), GOOD)
def test_crystals_that_exist_are_admitted(build, statement):
    verdict = structure_verdict(build(), statement)
    assert verdict.admits, verdict.reasons


@pytest.mark.parametrize(("build", "statement"), GOOD)
def test_the_cell_that_was_chosen_does_not_matter(build, statement):
    primitive = Crystal.of(build().to_pymatgen().get_primitive_structure())
    doubled = Crystal.of(build().to_pymatgen() * (1, 1, 2))
    assert structure_verdict(primitive, statement).admits
    assert structure_verdict(doubled, statement).admits


# Statements and structures that are known to be wrong, each with the reason that has to be named.
BAD = [
    (_salt, SymmetryStatement(225, rotations=(7,)), "no lattice has a 7-fold axis"),
    (_salt, SymmetryStatement(225, rotations=(5,)), "no lattice has a 5-fold axis"),
    (_salt, SymmetryStatement(225, rotations=(6,)), "has no 6-fold axis"),
    (_salt, SymmetryStatement(0), "space group 0 does not exist"),
    (_salt, SymmetryStatement(231), "space group 231 does not exist"),
    (_salt, SymmetryStatement(225, "Fm-7m"), "'Fm-7m' does not exist"),
    (_salt, SymmetryStatement(225, "Pm-3m"), "'Pm-3m' is number 221, not 225"),
    (_salt, SymmetryStatement(194), "hexagonal, which the cubic lattice does not allow"),
    (_magnesium, SymmetryStatement(225), "cubic, which the hexagonal lattice does not allow"),
    (_rutile, SymmetryStatement(221), "cubic, which the tetragonal lattice does not allow"),
    (_corundum, SymmetryStatement(194), "hexagonal, which the rhombohedral lattice does not allow"),
    (_salt, SymmetryStatement(216), "216 is stated, 225 (Fm-3m) found"),
    (_salt, SymmetryStatement(225, sites=(Site("Na", "z"),)), "no Wyckoff position 'z'"),
    (_salt, SymmetryStatement(225, sites=(Site("Na", "a", 5),)), "has multiplicity 4, not 5"),
    (_salt, SymmetryStatement(225, sites=(Site("Na", "a"), Site("Cl", "a"))), "holds one orbit, not 2"),
    (_salt, SymmetryStatement(225, sites=(Site("Na", "a", 4), Site("Cl", "c", 8))), "Cl c, Na a are stated"),
    (
        _perovskite,
        SymmetryStatement(221, sites=(Site("Ba", "a"), Site("Ti", "b"), Site("O", "d"))),
        "O d, Ti b are stated",
    ),
]


@pytest.mark.parametrize(("build", "statement", "reason"), BAD)
def test_statements_that_are_wrong_are_refused(build, statement, reason):
    verdict = structure_verdict(build(), statement)
    assert verdict.outcome is Outcome.REFUSES
    assert any(reason in found for found in verdict.reasons), verdict.reasons


def _scaled(crystal, factor):
    return Crystal(crystal.lattice * factor, crystal.positions, crystal.symbols)


@pytest.mark.parametrize(
    ("crystal", "reason"),
    [
        (_scaled(_salt(), 0.5), "of their covalent radii"),
        (_scaled(_salt(), 5.0), "g/cm3 is outside"),
        (Crystal(np.eye(3) * 2.2, np.zeros((1, 3)), ("Os",)), "g/cm3 is outside"),
        (Crystal(np.eye(3) * 6.0, np.zeros((2, 3)), ("Na", "Cl")), "0.00 angstrom apart"),
        (Crystal(np.eye(3) * 6.0, np.array([[0.01, 0, 0], [0.99, 0, 0]]), ("H", "H")), "H and H are 0.12 angstrom"),
        (Crystal(np.diag([1.0, 9.0, 9.0]), np.zeros((1, 3)), ("Fe",)), "Fe and Fe are 1.00 angstrom"),
    ],
)
def test_atoms_without_room_and_impossible_densities_are_refused(crystal, reason):
    verdict = structure_verdict(crystal)
    assert verdict.outcome is Outcome.REFUSES
    assert any(reason in found for found in verdict.reasons), verdict.reasons


def test_short_bonds_that_exist_are_admitted():
    dioxygen = Crystal(np.eye(3) * 4.0, np.array([[0.0, 0, 0], [1.21 / 4, 0, 0]]), ("O", "O"))
    dihydrogen = Crystal(np.eye(3) * 3.0, np.array([[0.0, 0, 0], [0.741 / 3, 0, 0]]), ("H", "H"))
    assert structure_verdict(dioxygen).admits
    assert structure_verdict(dihydrogen).admits


def test_an_element_without_a_radius_leaves_the_verdict_open():
    crystal = Crystal(np.eye(3) * 5.0, np.zeros((1, 3)), ("Cf",))
    assert structure_verdict(crystal).outcome is Outcome.CANNOT_TELL


def test_density_of_salt():
    assert density(_salt()) == pytest.approx(2.16, abs=0.01)


def test_a_wider_tolerance_sees_a_distorted_crystal_as_it_is_stated():
    salt = _salt()
    moved = salt.positions.copy()
    moved[0, 0] += 0.005
    crystal = Crystal(salt.lattice, moved, salt.symbols)
    assert not structure_verdict(crystal, SymmetryStatement(225)).admits
    assert structure_verdict(crystal, SymmetryStatement(225), Limits(tolerance_a=0.1)).admits


@pytest.mark.parametrize(
    ("lattice", "positions", "symbols", "complaint"),
    [
        (np.eye(3) * np.nan, np.zeros((1, 3)), ("Fe",), "not finite"),
        (np.eye(3), np.full((1, 3), np.inf), ("Fe",), "not finite"),
        (np.ones((3, 3)), np.zeros((1, 3)), ("Fe",), "independent vectors"),
        (np.eye(3), np.zeros((1, 3)), ("Xx",), "no elements"),
        (np.eye(3), np.zeros((1, 3)), ("Fe", "O"), "one symbol for each"),
        (np.eye(3), np.zeros((0, 3)), (), "one symbol for each"),
    ],
)
def test_what_is_no_crystal_is_refused(lattice, positions, symbols, complaint):
    with pytest.raises(ConstraintError, match=complaint):
        Crystal(lattice, positions, symbols)


def test_partly_occupied_sites_are_refused():
    structure = Structure(Lattice.cubic(3.0), [{"Fe": 0.5, "Ni": 0.5}], [[0, 0, 0]])
    with pytest.raises(ConstraintError, match="partly occupied"):
        Crystal.of(structure)

"""Batched FIRE: the steps and minima of ASE's, whatever the fleet looks like; failures by name; nothing lost."""

from dataclasses import replace

import jax
import numpy as np
import pytest

pytest.importorskip("chgnet")

from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.filters import FrechetCellFilter
from ase.optimize import FIRE
from jaxtyping import install_import_hook

with install_import_hook(
    [f"physics.mlip.{name}" for name in ("fire", "cell_coordinates", "fleet", "loads", "relax", "host_relax")],
    "tests.checking.check",
):
    from physics.mlip import relax as module
    from physics.mlip.ase_calculator import AsePotential
    from physics.mlip.chgnet_potential import ChgnetPotential, load_chgnet
    from physics.mlip.host_relax import relax_on_host
    from physics.mlip.potential import Outcome, Refusal, Relaxation, RelaxationSettings
    from physics.mlip.weights import load_weights

from benchmarks.screening.cells import KNOWN, compounds, perovskites

BUDGET = 2_400


def ignore(done):
    """Watch nothing."""


@pytest.fixture(scope="module")
def potential():
    return ChgnetPotential(load_weights(), "0.3.0", BUDGET)


@pytest.fixture(scope="module")
def starts():
    """Small crystals out of equilibrium, one of them in a sheared description with atoms far outside the cell."""
    salt = bulk("NaCl", "rocksalt", 5.9)
    alloy = bulk("Cu", "fcc", 3.8, cubic=True)
    alloy.symbols = "CuNiCuAl"
    zinc = bulk("ZnS", "zincblende", 5.2)
    sheared = zinc.copy()
    sheared.set_cell([[1, 0, 0], [3, 1, 0], [-2, 4, 1]] @ zinc.cell.array)
    sheared.positions += [17.0, -40.0, 3.0]
    perovskite = perovskites(1, 3)[0]
    for seed, atoms in enumerate((salt, alloy, zinc, sheared)):
        atoms.rattle(0.08, seed=seed)
    return [salt, alloy, zinc, sheared, perovskite]


@pytest.fixture(scope="module")
def relaxed(potential, starts):
    return potential.relax(starts, RelaxationSettings())


def by_ase(atoms, calculator, fmax=0.05, steps=500, cell=True):
    moving = atoms.copy()
    moving.calc = calculator
    optimizer = FIRE(FrechetCellFilter(moving) if cell else moving, logfile=None)
    converged = optimizer.run(fmax=fmax, steps=steps)
    return moving, converged, optimizer.nsteps


def test_same_steps_as_ase_in_a_fixed_cell():
    """An independent implementation with the same constants: step for step, whatever relaxes beside."""
    starts = [bulk(symbol, cubic=True) * (1, 1, 2) for symbol in ("Cu", "Au", "Al", "Pt")]
    for seed, atoms in enumerate(starts):
        atoms.rattle(0.15, seed=seed)
    settings = RelaxationSettings(fmax_ev_per_a=0.01, moves_cell=False)
    found = relax_on_host(AsePotential(EMT, "emt").predict, starts, settings, ignore)
    counts = set()
    for start, ours in zip(starts, found, strict=True):
        theirs, converged, steps = by_ase(start, EMT(), 0.01, cell=False)
        assert converged and ours.outcome == Outcome.CONVERGED
        assert ours.steps == steps + 1  # we count evaluations, ASE moves
        np.testing.assert_allclose(ours.atoms.positions, theirs.positions, atol=1e-5)
        assert (ours.atoms.cell.array == start.cell.array).all()
        counts.add(steps)
    assert len(counts) > 1


def test_same_minimum_as_ase_with_a_moving_cell():
    starts = [bulk("Cu", "hcp", a=2.7, c=4.0), bulk("Au", cubic=True), bulk("Ni", "bcc", a=2.9, cubic=True)]
    for seed, atoms in enumerate(starts):
        atoms.rattle(0.1, seed=seed)
    settings = RelaxationSettings(fmax_ev_per_a=0.001)
    for start, ours in zip(starts, AsePotential(EMT, "emt").relax(starts, settings), strict=True):
        theirs, _, steps = by_ase(start, EMT(), 0.001)
        energy = theirs.get_potential_energy() / len(theirs)
        assert ours.prediction.energy_ev_per_atom == pytest.approx(energy, abs=1e-5)
        assert ours.atoms.get_volume() == pytest.approx(theirs.get_volume(), rel=1e-3)
        assert abs(ours.steps - steps) <= 0.2 * steps + 5


@pytest.mark.slow
def test_same_minima_as_ase_with_the_published_code(starts, relaxed):
    from chgnet.model.dynamics import CHGNetCalculator
    from chgnet.model.model import CHGNet

    calculator = CHGNetCalculator(CHGNet.load(use_device="cpu", verbose=False), use_device="cpu")
    for start, ours in zip(starts[::2], relaxed[::2], strict=True):
        if len(start) > 2:
            continue  # the published code takes seconds a step
        theirs, converged, _ = by_ase(start, calculator)
        assert converged and ours.outcome == Outcome.CONVERGED
        energy = float(theirs.get_potential_energy()) / len(theirs)
        assert ours.prediction.energy_ev_per_atom == pytest.approx(energy, abs=1e-3)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_same_minima_as_ase_on_a_varied_set(capsys):
    """At least 99 % of known compounds within 1 meV/atom: from starts that are no crystals at all, paths part."""
    from chgnet.model.dynamics import CHGNetCalculator
    from chgnet.model.model import CHGNet

    starts = compounds(2 * len(KNOWN), 11)
    found = load_chgnet().relax(starts, RelaxationSettings())
    calculator = CHGNetCalculator(CHGNet.load(use_device="cpu", verbose=False), use_device="cpu")
    differences, unequal = [], []
    for start, ours in zip(starts, found, strict=True):
        theirs, converged, steps = by_ase(start, calculator)
        energy = float(theirs.get_potential_energy()) / len(theirs)
        if converged and ours.outcome == Outcome.CONVERGED:
            differences.append(ours.prediction.energy_ev_per_atom - energy)
        elif converged != (ours.outcome == Outcome.CONVERGED):
            unequal.append((start.get_chemical_formula(), ours.outcome, ours.steps, steps))
        with capsys.disabled():
            print(start.get_chemical_formula(), ours.outcome, ours.steps, steps,
                  ours.prediction.energy_ev_per_atom - energy, flush=True)  # fmt: skip
    within = np.abs(differences) <= 1e-3
    with capsys.disabled():
        print(f"{within.sum()} of {len(within)} within 1 meV/atom; converged in one code only: {unequal}")
    assert len(differences) >= 100 and within.mean() >= 0.99


def test_the_fleet_changes_nothing(potential, starts, relaxed, monkeypatch):
    """Few places, refilled as structures end: each comes back once, in its place, as with room for all."""
    monkeypatch.setitem(module.FLEETS, "cpu", (BUDGET, 3, 1))
    again = potential.relax([*starts, *starts, starts[0]], RelaxationSettings())
    assert len(again) == 2 * len(starts) + 1
    for one, first in zip(again, [*relaxed, *relaxed, relaxed[0]], strict=True):
        assert one.outcome == first.outcome == Outcome.CONVERGED
        assert one.prediction.energy_ev_per_atom == pytest.approx(first.prediction.energy_ev_per_atom, abs=2e-4)


@pytest.mark.slow
def test_a_shape_that_is_fitted_on_the_way_changes_nothing(potential, starts, relaxed, monkeypatch):
    """Whatever no longer finds room in it is put off, not lost."""
    small = replace(potential, bond_budget=400)
    monkeypatch.setattr(module, "SETTLED", 2)
    monkeypatch.setattr(module, "WORTH_IT", 0)
    monkeypatch.setattr(module, "settled", lambda tight, known: tight)
    fitted, put_off = [], []
    of_needs, original = module.fitted, module._Convoy._taken_back

    def narrow(*needs):
        fitted.append(of_needs(*needs))
        return fitted[-1] if len(fitted) == 1 else replace(fitted[0], structures=1)

    def taken_back(self, load):
        put_off.extend(self._returned)
        return original(self, load)

    monkeypatch.setattr(module, "fitted", narrow)
    monkeypatch.setattr(module._Convoy, "_taken_back", taken_back)
    again = small.relax(starts[:4] * 5, RelaxationSettings())
    assert len(fitted) > 1 and put_off
    for one, first in zip(again, relaxed[:4] * 5, strict=True):
        assert one.outcome == first.outcome == Outcome.CONVERGED
        assert one.prediction.energy_ev_per_atom == pytest.approx(first.prediction.energy_ev_per_atom, abs=2e-4)


def test_the_end_is_what_the_potential_says_of_it(potential, starts, relaxed):
    """Answers and structures belong together, in the description of the start."""
    answers = potential.predict([one.atoms for one in relaxed])
    for start, one, answer in zip(starts, relaxed, answers, strict=True):
        assert one.prediction.energy_ev_per_atom == pytest.approx(answer.energy_ev_per_atom, abs=1e-5)
        np.testing.assert_allclose(one.prediction.forces_ev_per_a, answer.forces_ev_per_a, atol=2e-3)
        np.testing.assert_allclose(one.prediction.stress_gpa, answer.stress_gpa, atol=0.05)
        assert np.linalg.norm(answer.forces_ev_per_a, axis=1).max() < 0.053
        assert (one.atoms.numbers == start.numbers).all()
        moved = one.atoms.get_scaled_positions(wrap=False) - start.get_scaled_positions(wrap=False)
        assert np.abs(moved @ start.cell.array).max() < 1.5
        strain = np.linalg.solve(start.cell.array, one.atoms.cell.array) - np.eye(3)
        assert np.abs(strain).max() < 0.3 and np.abs(strain - strain.T).max() < 0.02


def test_two_descriptions_of_a_crystal_relax_to_one(relaxed):
    _, _, plain, sheared, _ = relaxed
    assert plain.prediction.energy_ev_per_atom == pytest.approx(sheared.prediction.energy_ev_per_atom, abs=1e-3)
    assert plain.atoms.get_volume() == pytest.approx(sheared.atoms.get_volume(), rel=5e-3)


@pytest.mark.slow
def test_the_device_and_the_host_agree(potential, starts, relaxed):
    on_host = relax_on_host(potential.predict, starts[:3], RelaxationSettings(), ignore)
    for one, other in zip(on_host, relaxed, strict=False):
        assert one.outcome == other.outcome
        assert one.prediction.energy_ev_per_atom == pytest.approx(other.prediction.energy_ev_per_atom, abs=2e-4)
        assert abs(one.steps - other.steps) <= 3


@pytest.mark.slow
def test_what_outgrows_its_place_is_given_another(potential, monkeypatch):
    """Cells that shrink to half of their volume: bonds and images that no shape was made for."""
    starts = [bulk("Cu", "fcc", a) for a in (4.6, 4.4)] + [bulk("Al", "fcc", 5.0), bulk("Ni", "fcc", 4.3)]
    lightened = []
    original = module._Convoy._lightened
    monkeypatch.setattr(module._Convoy, "_lightened", lambda self, load: lightened.append(1) or original(self, load))
    monkeypatch.setattr("physics.mlip.loads.FULL", 1.0)
    found = potential.relax(starts, RelaxationSettings())
    assert lightened and all(one.outcome == Outcome.CONVERGED for one in found)
    (copper,) = potential.relax([bulk("Cu", "fcc", 3.6)], RelaxationSettings())
    for one in found[:2]:
        assert one.prediction.energy_ev_per_atom == pytest.approx(copper.prediction.energy_ev_per_atom, abs=1e-3)


def test_failures_have_names(potential):
    slow = bulk("NaCl", "rocksalt", 5.9)
    slow.rattle(0.1, seed=1)
    squeezed = Atoms("U2", positions=[[0, 0, 0], [0.55, 0, 0]], cell=[4, 4, 4], pbc=True)
    empty = Atoms(pbc=True, cell=[3, 3, 3])
    watched = []
    found = potential.relax([slow, empty, squeezed], RelaxationSettings(max_steps=4), watched.append)
    assert found[0].outcome == Outcome.NOT_CONVERGED and found[0].steps == 4
    assert isinstance(found[1], Refusal) and "no atoms" in found[1].reason
    assert all(isinstance(one, Relaxation) for one in (found[0], found[2]))
    assert watched[0] == 1 and watched[-1] == 3 and watched == sorted(watched)


def test_explosions_and_lost_atoms_are_told(potential, monkeypatch):
    """Past the checks at the start: a volume that runs away, and an atom beyond every neighbour."""
    monkeypatch.setattr("physics.mlip.chgnet_potential._refused", lambda sizes, cutoff_a: {})
    monkeypatch.setattr("physics.mlip.fleet.MAX_VOLUME_RATIO", 1.1)
    jax.clear_caches()  # the bound is part of the program
    salt, lonely = bulk("NaCl", "rocksalt", 6.6), Atoms("He", cell=[20, 20, 20], pbc=True)
    found = potential.relax([salt, lonely], RelaxationSettings())
    assert [one.outcome for one in found] == [Outcome.EXPLODED, Outcome.LOST_ATOMS]
    assert found[0].steps > 1 and found[1].steps == 1


def test_a_fixed_cell_stays(potential, starts):
    (found,) = potential.relax(starts[2:3], RelaxationSettings(moves_cell=False))
    assert found.outcome == Outcome.CONVERGED
    np.testing.assert_allclose(found.atoms.cell.array, starts[2].cell.array, atol=1e-6)


def test_nothing_in_nothing_out(potential):
    assert potential.relax([], RelaxationSettings()) == []

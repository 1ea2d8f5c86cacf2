"""MACE: against its own calculator and finite differences, the files it reads, and what it refuses."""

import os
import subprocess
import sys
import types
import urllib.error
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.units import GPa

from benchmarks.random_mace import random_mace
from physics.mlip import mace as adapter
from physics.mlip.embedding import embeddings, invariance
from physics.mlip.mace import UnknownHeadError, load_mace, mace_potential
from physics.mlip.mace_checkpoint import (
    CheckpointDownloadError,
    CheckpointError,
    UnknownCheckpointError,
    UnsafeCheckpointError,
    import_mace,
    quietly,
)
from physics.mlip.potential import Prediction, Refusal, RelaxationSettings

if find_spec("mace") is None:  # importing it here would make torch.load unsafe for all tests
    pytest.skip("mace-torch is not installed", allow_module_level=True)

ELEMENTS = (3, 8, 9, 11, 17, 22, 38)


def small(max_l=0):
    return random_mace(5, channels=8, max_l=max_l, elements=ELEMENTS)


@pytest.fixture(scope="module", params=[0, 1], ids=["scalars", "vectors"])
def potential(request):
    return mace_potential(small(request.param), "random", device="cpu", precision="float64")


@pytest.fixture(scope="module")
def cells():
    sites = np.array([[0, 0, 0], [1, 1, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]]) / 2
    cell = [[3.9, 0.1, 0], [0.2, 3.8, 0], [0, -0.3, 4.1]]
    perovskite = Atoms("SrTiO3", scaled_positions=sites, cell=cell, pbc=True)
    sheared = bulk("NaCl", "rocksalt", 5.6)
    sheared.set_cell([[1, 0, 0], [3, 1, 0], [-2, 4, 1]] @ sheared.cell)
    outside = bulk("LiF", "rocksalt", 4.0, cubic=True)
    outside.positions += [31.0, -57.0, 12.0]
    single = Atoms("Ti", cell=[2.6, 2.7, 2.8], pbc=True)
    found = [perovskite, sheared, outside, single]
    for seed, atoms in enumerate(found):
        atoms.rattle(0.1, seed=seed)
    return found


@pytest.fixture(scope="module")
def answers(potential, cells):
    return potential.predict(cells)


def worst(first, second):
    """Return the largest difference of two predictions, relative to the largest number where that is above one."""
    names = ("energy_ev_per_atom", "forces_ev_per_a", "stress_gpa", "embedding")
    pairs = [(np.asarray(getattr(first, name)), np.asarray(getattr(second, name))) for name in names]
    return max(abs(a - b).max() / max(1, abs(b).max()) for a, b in pairs)


def saved(model, path):
    with quietly():
        torch.save(model, path)
    return path


def test_agrees_with_its_own_calculator(potential, cells, answers):
    from mace.calculators import MACECalculator

    with quietly():
        calculator = MACECalculator(models=potential.model, device="cpu", default_dtype="float64")
        for atoms, found in zip(cells, answers, strict=True):
            other = atoms.copy()
            other.calc = calculator
            expected = Prediction(
                other.get_potential_energy() / len(other),
                other.get_forces(),
                other.get_stress(voigt=False) / GPa,
                embedding=calculator.get_descriptors(other, invariants_only=True).mean(0),
            )
            assert worst(found, expected) < 1e-9


def test_forces_and_stress_are_derivatives_of_the_energy(potential, cells, answers):
    atoms, found, step = cells[0], answers[0], 1e-4
    moved = []
    for sign in (1, -1):
        for place in np.ndindex(len(atoms), 3):
            moved.append(atoms.copy())
            moved[-1].positions[place] += sign * step
        for place in np.ndindex(3, 3):
            strain = np.eye(3)
            strain[place] += sign * step / 2
            strain[place[::-1]] += sign * step / 2
            moved.append(atoms.copy())
            moved[-1].set_cell(atoms.cell.array @ strain, scale_atoms=True)
    plus, minus = np.reshape([len(atoms) * one.energy_ev_per_atom for one in potential.predict(moved)], (2, -1))
    slopes = (plus - minus) / (2 * step)
    forces, stress = -slopes[:-9].reshape(-1, 3), slopes[-9:].reshape(3, 3) / atoms.get_volume() / GPa
    assert abs(forces - found.forces_ev_per_a).max() < 1e-6 * abs(forces).max() + 1e-9
    assert abs(stress - found.stress_gpa).max() < 1e-6 * abs(stress).max() + 1e-9


def test_batches_answer_as_single_structures_do_in_order(potential, cells, answers, monkeypatch):
    alone = [potential.predict([atoms])[0] for atoms in cells]
    monkeypatch.setitem(adapter.EDGES, "cpu", 600)  # two batches and one that is larger than the budget
    cut = potential.predict(cells)
    assert max(worst(a, b) for a, b in zip(answers, alone, strict=True)) < 1e-12
    assert max(worst(a, b) for a, b in zip(cut, alone, strict=True)) < 1e-12


def test_single_precision_is_close(cells):
    single = mace_potential(small(), "random", device="cpu").predict(cells)
    double = mace_potential(small(), "random", device="cpu", precision="float64").predict(cells)
    assert single[0].forces_ev_per_a.dtype == np.float32
    assert max(worst(a, b) for a, b in zip(single, double, strict=True)) < 1e-5


def test_embeddings_do_not_depend_on_the_description(potential, cells):
    found = invariance(embeddings(potential), cells[0], np.random.default_rng(0))
    assert found.broken(1e-9) == ()


def test_features_that_turn_with_the_crystal_are_caught(cells):
    from mace.calculators import MACECalculator

    with quietly():
        calculator = MACECalculator(models=small(max_l=1), device="cpu", default_dtype="float64")

    def turning(structures):
        return np.array([calculator.get_descriptors(one, invariants_only=False).mean(0) for one in structures])

    with quietly():
        broken = invariance(turning, cells[0], np.random.default_rng(0)).broken()
    assert broken == ("rotation", "inversion")


def test_refuses_in_place(potential, cells, answers):
    broken = cells[1].copy()
    broken.positions[0, 0] = np.nan
    flat = Atoms("Li", cell=[[3, 0, 0], [0, 3, 0], [3, 3, 0]], pbc=True)
    twice = Atoms("Li2", positions=[[0, 0, 0], [0.1, 0, 0]], cell=[4, 4, 4], pbc=True)
    tiny = Atoms("Li", cell=[1e-3, 1e-3, 1e-3], pbc=True)
    slab = Atoms("Li", cell=[3, 3, 9], pbc=[True, True, False])
    bad = {"not finite": broken, "flat": flat, "0.100": twice, "0.001": tiny, "periodic": slab, "no atoms": Atoms()}
    bad["[92]"] = Atoms("U", cell=[3, 3, 3], pbc=True)
    found = potential.predict([cells[0], *bad.values(), cells[1]])
    assert max(worst(a, b) for a, b in zip(found[:: len(bad) + 1], answers[:2], strict=True)) < 1e-12
    for text, answer in zip(bad, found[1:-1], strict=True):
        assert isinstance(answer, Refusal) and text in answer.reason


def test_answers_of_a_broken_model_are_refused(cells):
    potential = mace_potential(small(), "random", device="cpu")
    potential.model.scale_shift.scale.fill_(float("nan"))
    (found,) = potential.predict(cells[:1])
    assert isinstance(found, Refusal) and "not finite" in found.reason


def test_what_does_not_fit_the_memory_is_halved(cells, answers, potential, monkeypatch):
    compute = adapter.MacePotential._compute

    def scarce(self, graphs):
        if len(graphs) > 1 or graphs[0].num_nodes > 5:
            raise torch.OutOfMemoryError
        return compute(self, graphs)

    monkeypatch.setattr(adapter.MacePotential, "_compute", scarce)
    found = potential.predict(cells)
    assert [isinstance(one, Refusal) for one in found] == [False, False, True, False]
    assert worst(found[3], answers[3]) < 1e-12


def test_relaxes_on_the_host(potential, cells, monkeypatch):
    host = types.ModuleType("physics.mlip.host_relax")
    host.relax_on_host = lambda *arguments: arguments
    monkeypatch.setitem(sys.modules, "physics.mlip.host_relax", host)
    settings = RelaxationSettings()
    assert potential.relax(cells, settings, print) == (potential.predict, cells, settings, print)


@pytest.mark.parametrize("max_l", [0, 1])
def test_a_file_gives_the_model_back(max_l, cells, tmp_path):
    model = small(max_l)
    model.interactions[0].avg_num_neighbors = np.float64(60.0)  # as training may leave it
    path = saved(model, tmp_path / "trained.model")
    loaded = load_mace(path, device="cpu", precision="float64")
    expected = mace_potential(model, "random", device="cpu", precision="float64").predict(cells)
    assert loaded.label == "MACE trained"
    assert all(worst(a, b) == 0 for a, b in zip(loaded.predict(cells), expected, strict=True))


class Command:
    """Unpickles as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_a_program_in_a_file_is_not_run(tmp_path):
    mark = tmp_path / "mark"
    model = small()
    model.heads = Command(os.system, f"touch {mark}")
    path = saved(model, tmp_path / "evil.model")
    with pytest.raises(UnsafeCheckpointError, match=r"posix\.system"):
        load_mace(path)
    assert not mark.exists()


def test_source_code_in_a_file_is_not_run(tmp_path):
    import_mace()
    mark = tmp_path / "mark"
    source = f"import pathlib\npathlib.Path({str(mark)!r}).touch()\ndef forward(self):\n    pass\n"
    model = small()
    model.note = Command(torch.fx.graph_module.reduce_graph_module, {"_code": source}, "")
    path = saved(model, tmp_path / "evil.model")
    load_mace(path, device="cpu")  # it is dropped with the source code that every file of mace carries
    assert not mark.exists()
    with quietly(), pytest.raises(AttributeError):
        torch.load(path, weights_only=False)
    assert mark.exists()


def test_other_files_are_refused(tmp_path):
    path = saved(small(), tmp_path / "half.model")
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_mace(path)
    with pytest.raises(CheckpointError, match="holds a dict"):
        load_mace(saved({"weights": torch.zeros(2)}, tmp_path / "weights.pt"))
    with pytest.raises(UnknownCheckpointError, match=r"known: .*'small'"):
        load_mace("gigantic")
    with pytest.raises(ValueError, match="precision='half'"):
        load_mace(path, precision="half")


def test_a_file_with_other_parameters_is_refused(tmp_path):
    model = small()
    del model.readouts[1].linear_2.weight
    with pytest.raises(CheckpointError, match=r"other parameters .*linear_2\.weight"):
        load_mace(saved(model, tmp_path / "less.model"))


def test_a_failed_download_names_the_remedy(monkeypatch):
    import_mace()
    from mace.calculators import foundations_models

    def fail(_):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(foundations_models, "download_mace_mp_checkpoint", fail)
    with pytest.raises(CheckpointDownloadError, match=r"no route.*https.*path"):
        load_mace("small")


def test_one_of_several_heads_must_be_named():
    model = small()
    with pytest.raises(UnknownHeadError, match="head='pbe'"):
        mace_potential(model, "random", head="pbe")
    model.heads = ["pbe", "r2scan"]
    with pytest.raises(UnknownHeadError, match="choose one of"):
        mace_potential(model, "random")
    assert mace_potential(model, "random", head="pbe", device="cpu").head == "pbe"


def test_the_import_is_quiet_and_leaves_loading_safe():
    program = (
        "import os; from benchmarks.random_mace import random_mace; random_mace(0, channels=4, elements=(1,));"
        "assert 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD' not in os.environ"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

"""Other codes by configuration, pw.x where it is installed, and VASP's input read back."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ase")

from ase.build import bulk

from physics.dft.errors import CalculatorError
from physics.dft.other_codes import ase_single_point_job, checked
from physics.dft.settings import FAST, resolve
from physics.dft.vasp import FILES, VaspInputError, _read_back, vasp_input_job, write_vasp_input
from physics.prototypes import as_record

COPPER = as_record(bulk("Cu"))
DEBIAN = Path("/usr/share/espresso/pseudo")  # package quantum-espresso-data
needs_espresso = pytest.mark.skipif(
    shutil.which("pw.x") is None or not DEBIAN.is_dir(), reason="no pw.x with Debian's pseudopotentials"
)


def espresso(structure, pseudopotential, **input_data):
    symbol = pseudopotential.partition(".")[0]
    options = {
        "kpts": [6, 6, 6],
        "pseudo_dir": str(DEBIAN),
        "pseudopotentials": {symbol: pseudopotential},
        "input_data": input_data,
    }
    return {"structure": as_record(structure), "calculator": "espresso", "options": options}


def test_another_code_answers_in_the_same_shape():
    answer = ase_single_point_job({"structure": COPPER, "calculator": "emt", "options": {}})
    assert answer["energy_ev_per_atom"] == pytest.approx(-0.0057, abs=1e-3)
    assert answer["atoms"] == 1 and answer["cores"] == 1 and answer["seconds"] > 0
    assert len(answer["stress_gpa"]) == 3
    assert answer["settings"] == {"calculator": "emt", "options": {}}


def test_what_the_code_cannot_do_is_a_failure():
    answer = ase_single_point_job({"structure": as_record(bulk("Fe")), "calculator": "emt"})
    assert "failed with NotImplementedError" in answer["failure"]


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("os.system", {}, "not allowed"),
        ("emt", {"command": "rm"}, "unknown=\\['command'\\]"),
        ("espresso", {"kpts": [1, 1, 1]}, "lacking=\\['pseudo_dir', 'pseudopotentials'\\]"),
        ("abinit", {"profile": "x", "ecut": 1.0, "kpts": [1, 1, 1], "pp_paths": "."}, "unknown=\\['profile'\\]"),
    ],
)
def test_only_listed_codes_and_options_are_taken(name, options, reason):
    with pytest.raises(CalculatorError, match=reason):
        checked(name, options)


def test_a_code_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "")
    options = {"kpts": [1, 1, 1], "pseudo_dir": ".", "pseudopotentials": {}}
    with pytest.raises(CalculatorError, match=r"'pw\.x' is not on the PATH"):
        checked("espresso", options)


def test_espresso_gets_its_input(tmp_path):
    from physics.dft.other_codes import CODES

    options = {
        "kpts": [2, 2, 2],
        "pseudo_dir": str(tmp_path),
        "pseudopotentials": {"Si": "Si.upf"},
        "input_data": {"system": {"ecutwfc": 20}},
    }
    calculator = CODES["espresso"].make(options, str(tmp_path))
    calculator.write_inputfiles(bulk("Si"), ["energy"])
    text = (tmp_path / "espresso.pwi").read_text()
    assert "ecutwfc" in text and "Si.upf" in text and "2 2 2" in text


@needs_espresso
def test_espresso_is_run_once_and_says_why_it_failed(monkeypatch):
    """ASE would run it again for forces and moments that it was not asked to calculate."""
    runs, run = [], subprocess.check_call
    monkeypatch.setattr(subprocess, "check_call", lambda *given, **more: (runs.append(given), run(*given, **more))[1])
    spec = espresso(bulk("Si"), "Si.pbe-rrkj.UPF", system={"ecutwfc": 15.0}, electrons={"electron_maxstep": 2})
    spec["options"]["kpts"] = [2, 2, 2]
    assert "convergence NOT achieved after   2 iterations" in ase_single_point_job(spec)["failure"]
    spec["options"]["input_data"] = {"system": {"ecutwfc": 15.0}}
    answer = ase_single_point_job(spec)
    assert answer["energy_ev_per_atom"] < -100 and "forces_ev_per_a" not in answer
    assert "kpts" not in answer["settings"]["options"] and answer["kpoints"] == [2, 2, 2]
    assert len(runs) == 2
    spec["options"]["input_data"] = {"system": {"ecutwfc": 15.0}, "control": {"tprnfor": True, "tstress": True}}
    assert np.shape(ase_single_point_job(spec)["stress_gpa"]) == (3, 3)


@needs_espresso
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="no setpriv (util-linux)")
def test_espresso_ends_with_its_job():
    spec = espresso(bulk("Si", cubic=True), "Si.pbe-rrkj.UPF", system={"ecutwfc": 60.0})
    code = f"from physics.dft.other_codes import ase_single_point_job as job; job({spec!r})"
    job = subprocess.Popen([sys.executable, "-c", code])
    children = Path(f"/proc/{job.pid}/task/{job.pid}/children")
    try:
        program = until(lambda: next((one for one in children.read_text().split() if named(one) == "pw.x"), None))
    finally:
        job.kill()
        job.wait()
    assert until(lambda: named(program) != "pw.x")


def named(process):
    """Return the name of a running process; None of one that has ended or waits to be buried."""
    status = Path(f"/proc/{process}/status")
    try:
        lines = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if lines["State"].startswith("Z") else lines["Name"]


def until(happened, limit=60.0):
    deadline = time.monotonic() + limit
    while not (found := happened()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


@needs_espresso
def test_espresso_starts_from_moments():
    system = {"ecutwfc": 25.0, "ecutrho": 200.0, "occupations": "smearing", "smearing": "mv", "degauss": 0.02}
    spec = espresso(bulk("Ni"), "Ni.pz-nd-rrkjus.UPF", system=system) | {"moments_mub": [0.7]}
    assert 0.4 < ase_single_point_job(spec)["moment_mub"] < 0.8  # LDA: 0.6


@needs_espresso
def test_an_element_without_pseudopotential_is_a_failure_that_names_it():
    answer = ase_single_point_job(espresso(bulk("Ge"), "Si.pbe-rrkj.UPF", system={"ecutwfc": 15.0}))
    assert "names no file for ['Ge']; add one" in answer["failure"]


@pytest.mark.slow
@needs_espresso
def test_silicon_by_espresso_agrees_with_gpaw():
    """Edge and bulk modulus by PBE; the other ones are those of tests/physics/test_dft_validation.py."""
    from ase.eos import EquationOfState
    from ase.units import GPa

    edges = np.linspace(5.35, 5.6, 7)
    system = {"ecutwfc": 30.0, "ecutrho": 240.0}
    specs = [espresso(bulk("Si", "diamond", edge), "Si.pbe-nl-rrkjus_psl.1.0.0.UPF", system=system) for edge in edges]
    energies = [2 * ase_single_point_job(spec)["energy_ev_per_atom"] for spec in specs]
    volume, _, bulk_modulus = EquationOfState(edges**3 / 4, energies, "birchmurnaghan").fit()
    assert (4 * volume) ** (1 / 3) == pytest.approx(5.477, rel=0.003)
    assert bulk_modulus / GPa == pytest.approx(88.9, rel=0.05)


@pytest.mark.parametrize(("functional", "tag"), [("PBE", "GGA = Pe"), ("r2SCAN", "METAGGA = R2scan"), ("LDA", "ENCUT")])
def test_vasp_input_is_read_back(functional, tag):
    pytest.importorskip("pymatgen")
    spec = {"structure": as_record(bulk("NiO", "rocksalt", 4.17)), "protocol": "fast", "functional": functional}
    files = vasp_input_job(spec)
    assert set(files) == set(FILES)
    assert tag in files["INCAR"] and "ENCUT = 600" in files["INCAR"] and "ISPIN = 2" in files["INCAR"]
    assert files["POTCAR.spec"] == "O\nNi\n"


def test_a_damaged_vasp_input_is_noticed(tmp_path):
    pytest.importorskip("pymatgen")
    from pymatgen.io.ase import AseAtomsAdaptor

    atoms = bulk("Si")
    incar, *_ = write_vasp_input(atoms, FAST, tmp_path)
    structure = AseAtomsAdaptor.get_structure(atoms)
    incar.write_text(incar.read_text().replace("NSW = 0", "NSW = 9"))
    with pytest.raises(VaspInputError, match="NSW"):
        _read_back(tmp_path, {"NSW": 0}, (5, 5, 5), structure)
    with pytest.raises(VaspInputError, match="mesh"):
        _read_back(tmp_path, {}, (1, 1, 1), structure)


def test_vasp_cutoff_is_not_below_what_its_data_need():
    from physics.dft.vasp import LEAST_CUTOFF_EV, incar_tags

    assert incar_tags(bulk("Si"), FAST)["ENCUT"] == LEAST_CUTOFF_EV
    assert incar_tags(bulk("MgO", "rocksalt", 4.2), resolve("fast", "PBE", ["O"]))["ENCUT"] == 600.0

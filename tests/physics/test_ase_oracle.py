"""Other codes named by a campaign file: ASE's EMT really calculates, pw.x only where it is installed (slow)."""

import shutil
import time
from pathlib import Path

import pytest

pytest.importorskip("spglib")

from mfal.errors import CampaignFileError, OracleError
from mfal.fidelity import Fidelity
from mfal.oracle import Oracle, OracleContext, Query
from physics import oracles
from physics.ase_oracle import ase
from physics.dft.other_codes import CODES, digests
from physics.dft.other_formation import other_formation_plan
from physics.prototypes import as_record, build, elemental_reference

ALNI = as_record(build("B2", "Al", "Ni", 11.9))
DEBIAN = Path("/usr/share/espresso/pseudo")
SYSTEM = {"ecutwfc": 35.0, "ecutrho": 320.0, "occupations": "smearing", "smearing": "mv", "degauss": 0.01}


@pytest.fixture
def context(tmp_path):
    def make(requires=("chgnet",), include=("AlNi",), **options):
        pool = oracles.measured_intermetallics({"limit": len(include), "include": list(include)})
        fidelity = Fidelity("other", "ase", 1.0, 0.1, 4, 0.0, requires=requires, options=options)
        return OracleContext(tmp_path / "campaign", tmp_path / "cache", fidelity, pool, 2)

    return make


def answered(oracle, structure=ALNI, limit=60.0):
    oracle.submit([Query("AlNi", "other", 1.0, {"chgnet": {"structure": structure}})])
    deadline = time.monotonic() + limit
    while not (found := oracle.collect()):
        assert time.monotonic() < deadline, oracle.running()
        time.sleep(0.1)
    return found[0]


def emt_energy(atoms):
    from ase.calculators.emt import EMT

    atoms.calc = EMT()
    return atoms.get_potential_energy() / len(atoms)


def test_formation_energy_by_a_named_code(context):
    oracle = ase(context(calculator="emt"))
    assert isinstance(oracle, Oracle)
    found = answered(oracle)
    elements = [emt_energy(elemental_reference(symbol)) for symbol in ("Al", "Ni")]
    expected = emt_energy(build("B2", "Al", "Ni", 11.9)) - sum(elements) / 2
    assert found.value == pytest.approx(expected, abs=1e-6)
    assert found.price_eur == 1.0
    assert found.details["reference_energies_ev_per_atom"] == pytest.approx(elements)
    assert found.details["settings"] == {"calculator": "emt", "options": {}}
    assert answered(ase(context(calculator="emt"))) == found  # a second process finds the results


def test_measured_core_hours_are_paid_where_there_is_a_rate(context):
    found = answered(ase(context(calculator="emt", rate_eur_per_core_hour=3600.0)))
    assert 0 < found.price_eur < 30  # EUR 1 a second


def test_a_failed_calculation_is_a_failed_observation(context):
    found = answered(ase(context(calculator="emt")), as_record(build("B2", "Fe", "Ni", 11.9)))
    assert found.value is None
    assert "No EMT-potential for Fe" in found.failure


def test_the_geometry_is_needed(context):
    with pytest.raises(OracleError, match="chgnet"):
        ase(context(calculator="emt")).submit([Query("AlNi", "other", 1.0)])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "calculator=None"),
        ({"calculator": "vasp"}, "not allowed.*emt"),
        ({"calculator": "emt", "kpts": [1, 1, 1]}, "unknown options.*k_length_a"),
        ({"calculator": "emt", "options": {"kpts": [1, 1, 1]}}, "mesh of its own; use k_length_a"),
        ({"calculator": "emt", "options": {"cutoff": 3}}, "unknown=\\['cutoff'\\]"),
        ({"calculator": "emt", "k_length_a": 0}, "k_length_a=0: use a length"),
        ({"calculator": "emt", "geometry_from": "mace"}, "requires"),
        ({"calculator": "emt", "rate_eur_per_core_hour": "1"}, "EUR per core-hour"),
        ({"calculator": "espresso", "options": {"pseudo_dir": "."}}, "lacking=\\['pseudopotentials'\\]"),
    ],
)
def test_options_are_checked(context, options, words):
    with pytest.raises(CampaignFileError, match=words):
        ase(context(**options))


@pytest.fixture
def pseudopotentials(tmp_path, monkeypatch):
    """Pretend that pw.x is installed, for what is refused before it is run; return options with a file for Al."""
    (tmp_path / "Al.UPF").write_text("aluminium")
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    return {"pseudo_dir": str(tmp_path), "pseudopotentials": {"Al": "Al.UPF"}}


def test_an_element_without_pseudopotential_is_named_before_anything_is_spent(context, pseudopotentials):
    asked = context(include=("AlNi", "TiFe"), calculator="espresso", options=pseudopotentials)
    with pytest.raises(CampaignFileError, match=r"no file for \['Fe', 'Ni', 'Ti'\]; add them, or leave"):
        ase(asked)


def test_a_pseudopotential_that_is_not_there_is_named(context, pseudopotentials):
    wrong = pseudopotentials | {"pseudopotentials": {"Al": "Al.UPF", "Ni": "Ni.UPF"}}
    with pytest.raises(CampaignFileError, match=r"Ni\.UPF'\] are not there; correct 'pseudopotentials'"):
        ase(context(calculator="espresso", options=wrong))
    with pytest.raises(CampaignFileError, match="use a table of files by element"):
        ase(context(calculator="espresso", options=pseudopotentials | {"pseudopotentials": "Al.UPF"}))


def test_another_file_under_the_same_name_is_another_calculation(pseudopotentials):
    first = digests(CODES["espresso"], pseudopotentials)
    (Path(pseudopotentials["pseudo_dir"]) / "Al.UPF").write_text("another")
    assert digests(CODES["espresso"], pseudopotentials)["Al"] != first["Al"]


def test_each_cell_has_a_mesh_and_moments_of_its_own():
    plan = other_formation_plan(ALNI, {"calculator": "espresso", "options": {"pseudo_dir": "."}}, 14.0)
    meshes = [job.spec["options"]["kpts"] for job in plan.jobs]
    assert meshes[0] == [5, 5, 5] and meshes[1] == meshes[2] == [7, 7, 7]
    assert [job.spec.get("moments_mub") for job in plan.jobs] == [[0.0, 0.7], None, [0.7]]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pw.x") is None, reason="pw.x is not installed (Debian: quantum-espresso)")
@pytest.mark.skipif(not DEBIAN.is_dir(), reason=f"{DEBIAN} is not there (Debian: quantum-espresso-data)")
def test_quantum_espresso_agrees_with_gpaw(context, tmp_path):
    """B2 AlNi by LDA on the same meshes; pseudopotentials without Al's and Ni's semicore differ by 0.034 eV/atom."""
    pytest.importorskip("gpaw")
    files = {"Al": "Al.pz-vbc.UPF", "Ni": "Ni.pz-nd-rrkjus.UPF"}
    options = {"pseudo_dir": str(DEBIAN), "pseudopotentials": files, "input_data": {"system": SYSTEM}}
    other = answered(ase(context(calculator="espresso", options=options)), limit=280.0)
    fidelity = Fidelity("other", "gpaw", 1.0, 1.0, 4, 0.0, requires=("chgnet",), options={"functional": "LDA"})
    pool = oracles.measured_intermetallics({"limit": 1, "include": ["AlNi"]})
    gpaw = answered(oracles.gpaw(OracleContext(tmp_path / "gpaw", tmp_path / "cache", fidelity, pool, 2)), limit=280.0)
    assert other.value == pytest.approx(gpaw.value, abs=0.05)
    assert other.details["kpoints"] == gpaw.details["kpoints"]

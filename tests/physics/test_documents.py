"""Documents of stored calculations: emmet and OPTIMADE accept them, and nothing of a calculation is lost or changed."""

import json

import numpy as np
import pytest

emmet_document = pytest.importorskip("physics.documents.emmet_document", exc_type=ImportError)
optimade_structure = pytest.importorskip("physics.documents.optimade_structure", exc_type=ImportError)

from ase import Atoms  # noqa: E402
from ase.build import bulk  # noqa: E402
from ase.units import GPa  # noqa: E402
from emmet.core.mpid import AlphaID  # noqa: E402
from optimade.models import StructureResource, StructureResponseMany  # noqa: E402

from physics.documents import ase_database  # noqa: E402
from physics.documents.calculation import NAME_DIGITS, Calculation, Link, Missing, calculations  # noqa: E402
from physics.prototypes import as_record  # noqa: E402
from physics.queue.result_cache import ResultCache, content_hash  # noqa: E402

GPAW = "physics.dft.gpaw:single_point_job"
CHGNET = "physics.mlip.formation:chgnet_jobs[]"
B2 = Atoms("TiNi", scaled_positions=[[0, 0, 0], [0.5] * 3], cell=[3.0] * 3, pbc=True)
SETTINGS = {"name": "moderate", "functional": "PBE", "cutoff_ev": 300.0}
ASKED = {"structure": as_record(B2), "settings": SETTINGS, "gpaw": "26.7.0", "setups": "1.2.1", "revision": 2}
LINK = Link("campaign", "f" * 64, 7, "TiNi", "gpaw", "candidate", -0.4, "eV/atom", 1.5, None)


def stored(cache, kind, spec, result):
    """Write a result as a worker does, and read it as a calculation."""
    key = content_hash(kind, spec)
    ResultCache(cache).write(key, kind, spec, result)
    (found,) = calculations(cache, [key[:NAME_DIGITS]])
    assert isinstance(found, Calculation)
    return found


def round_trip(calculation, links=(LINK,)):
    """Return the document after a trip through JSON, which changes nothing."""
    made = emmet_document.document(calculation, links)
    text = made.model_dump_json()
    read = emmet_document.CalculationDocument.model_validate_json(text)
    assert read == made and read.model_dump_json() == text
    assert emmet_document.CalculationDocument.model_validate(json.loads(text)) == made
    assert content_hash(calculation.kind, read.inputs) == read.content_hash == calculation.key
    return read


def test_a_dft_calculation(tmp_path):
    forces, stress = [[0.1, 0.0, 0.0], [-0.1, 0.0, 0.0]], np.diag([1.0, 2.0, 3.0]) + 0.25
    result = {
        "energy_ev_per_atom": -7.5, "forces_ev_per_a": forces, "stress_gpa": stress.tolist(), "moment_mub": 0.0,
        "kpoints": [9, 9, 9], "gpaw": "26.7.0", "seconds": 12.5, "node": "7d4f-uuid", "settings": SETTINGS,
    }  # fmt: skip
    read = round_trip(stored(tmp_path, GPAW, ASKED, result))
    assert (read.calc_code, read.version, read.setups_version) == ("GPAW", "26.7.0", "1.2.1")
    assert read.completed and read.state.value == "successful" and read.failure is None
    assert read.output.energy == 2 * read.output.energy_per_atom == -15.0
    assert read.output.forces == forces
    assert np.array(read.output.stress) == pytest.approx(-10 * stress), "kbar, positive where compressed"
    assert read.formula_pretty == "TiNi" and read.symmetry.number == 221 and read.nsites == 2
    assert read.settings == SETTINGS | {"gpaw": "26.7.0", "revision": 2}
    assert read.details["kpoints"] == [9, 9, 9] and read.elapsed_seconds == 12.5
    assert read.calc_meta.identifier == "7d4f-uuid" and read.calc_meta.name == GPAW
    assert read.observations == [LINK]


def test_ase_stresses_are_converted_in_either_shape(tmp_path):
    voigt = [0.01, 0.02, 0.03, 0.004, 0.005, 0.006]  # eV/angstrom^3, stretched
    full = [[0.01, 0.006, 0.005], [0.006, 0.02, 0.004], [0.005, 0.004, 0.03]]
    for number, stress in enumerate([voigt, full]):
        one = stored(
            tmp_path, GPAW, ASKED | {"number": number}, {"energy_ev_per_atom": -1.0, "stress_ev_per_a3": stress}
        )
        assert np.array(one.stress_kbar) == pytest.approx(-10 * np.array(full) / GPa, rel=1e-6)
    assert stored(tmp_path, GPAW, ASKED, {"energy_ev_per_atom": -1.0}).stress_kbar is None


def test_a_row_for_ase_has_its_units_and_sign(tmp_path):
    forces, stress = [[0.1, 0.0, 0.0], [-0.1, 0.0, 0.0]], np.diag([1.0, 2.0, 3.0]) + 0.25  # GPa, stretched
    answer = {"energy_ev_per_atom": -7.5, "forces_ev_per_a": forces, "stress_gpa": stress.tolist()}
    one = stored(tmp_path, GPAW, ASKED, answer)
    atoms = ase_database.reference_row(one, one.atoms(), [LINK]).atoms
    assert atoms.get_potential_energy() == -15.0 and atoms.get_forces() == pytest.approx(np.array(forces))
    assert atoms.get_stress(voigt=False) == pytest.approx(stress * GPa) and atoms.calc.name == "gpaw"


def test_other_codes_and_their_properties(tmp_path):
    gap = stored(tmp_path, "physics.dft.band_gap:band_gap_job", ASKED, {"energy_ev_per_atom": -5.0, "gap_ev": 1.1})
    read = round_trip(gap)
    assert (read.calc_code, read.output.bandgap) == ("GPAW", 1.1)
    asked = {"structure": as_record(B2), "calculator": "espresso", "options": {"kpts": [4, 4, 4]}}
    read = round_trip(
        stored(tmp_path, "physics.dft.other_codes:ase_single_point_job", asked, {"energy_ev_per_atom": -5.0})
    )
    assert (read.calc_code, read.version, read.settings["options"]) == ("Quantum ESPRESSO", None, {"kpts": [4, 4, 4]})
    written = stored(
        tmp_path, "physics.dft.vasp:vasp_input_job", {"structure": as_record(B2)}, {"INCAR": "ENCUT = 520"}
    )
    assert round_trip(written).calc_code == "VASP" and round_trip(written).details == {"INCAR": "ENCUT = 520"}


def test_the_structure_is_the_one_that_the_energy_belongs_to(tmp_path):
    scaled = stored(tmp_path, GPAW, ASKED, {"energy_ev_per_atom": -7.5, "volume_factor": 1.1})
    assert round_trip(scaled).volume == pytest.approx(1.1 * 27.0)
    relaxed = stored(tmp_path / "2", GPAW, ASKED, {"energy_ev_per_atom": -7.5, "structure": as_record(bulk("Cu"))})
    assert round_trip(relaxed).output.structure.formula == "Cu1"


def test_a_potential_and_an_unknown_code(tmp_path):
    asked = {"elements": ["Ti", "Ni"], "prototypes": ["B2"], "weights": "0.3.0", "chgnet": "0.4.2", "revision": 2}
    result = {"energy_ev_per_atom": -6.0, "structure": as_record(B2), "space_group": 221, "steps": 3}
    read = round_trip(stored(tmp_path, CHGNET, asked, result))
    assert (read.calc_code, read.version, read.setups_version, read.elapsed_seconds) == ("CHGNet", "0.4.2", None, None)
    assert read.settings["weights"] == "0.3.0" and read.details == {"space_group": 221, "steps": 3}
    other = round_trip(stored(tmp_path, "lab.codes.phonon:job", {"version": "3"}, {"energy_ev_per_atom": -6.0}), ())
    assert (other.calc_code, other.version, other.output, other.observations) == ("phonon", "3", None, [])
    assert other.details == {"energy_ev_per_atom": -6.0}


@pytest.mark.parametrize(
    "kind, asked, formula",
    [
        (GPAW, ASKED, "TiNi"),
        (CHGNET, {"elements": ["Ti", "Ni"], "chgnet": "0.4.2"}, "TiNi"),
        (CHGNET, {"element": "Tc", "chgnet": "0.4.2"}, "Tc"),
        (GPAW, ASKED | {"structure": as_record(Atoms("Ti2", positions=[[0] * 3] * 2, cell=[3] * 3, pbc=True))}, "Ti"),
        ("other:job", {}, None),
    ],
    ids=["structure", "elements", "element", "coinciding atoms", "nothing"],
)
def test_failures_are_documents_too(tmp_path, kind, asked, formula):
    read = round_trip(stored(tmp_path, kind, asked, {"failure": "did not converge", "seconds": 3.0}))
    assert not read.completed and read.state.value == "failed" and read.failure == "did not converge"
    assert read.formula_pretty == formula and read.output is None and read.elapsed_seconds == 3.0


def test_identifiers_are_numbers_in_emmets_spelling(tmp_path):
    one = stored(tmp_path, GPAW, ASKED, {"energy_ev_per_atom": -7.5})
    assert emmet_document.task_id(one.key) == f"mfal-{int(one.key[:15], 16)}"
    assert round_trip(one).task_id == AlphaID(int(one.key[:15], 16), prefix="mfal")


def test_what_cannot_be_read_is_named_and_left_as_it_is(tmp_path):
    one = stored(tmp_path, GPAW, ASKED, {"energy_ev_per_atom": -7.5})
    file = ResultCache(tmp_path).path(one.key)
    whole, name = file.read_bytes(), one.key[:NAME_DIGITS]
    for damaged in (whole.replace(b"-7.5", b"-7.6"), whole.replace(b"26.7.0", b"26.7.1"), whole[:50], b"[]"):
        file.write_bytes(damaged)
        assert [type(found) for found in calculations(tmp_path, [name])] == [Missing]
        assert file.read_bytes() == damaged
    names = ["0" * NAME_DIGITS, "../" + name, "*" * NAME_DIGITS, ""]
    assert list(calculations(tmp_path, names)) == [Missing(name, "has no file") for name in names]
    assert list(calculations(tmp_path / "absent", [name])) == [Missing(name, "has no file")]


@pytest.mark.parametrize(
    "atoms, reduced, anonymous",
    [
        (B2, "NiTi", "AB"),
        (bulk("Cu", cubic=True), "Cu", "A"),
        (Atoms("TiAl3Ti", positions=np.eye(5, 3), cell=[9] * 3, pbc=True), "Al3Ti2", "A3B2"),
        (Atoms("O4Mg2Si2O2", positions=np.ones((10, 3)) * np.arange(10)[:, None], cell=[9] * 3, pbc=True),
         "MgO3Si", "A3BC"),
    ],
)  # fmt: skip
def test_structures_pass_the_models_of_optimade(tmp_path, atoms, reduced, anonymous):
    one = stored(tmp_path, GPAW, ASKED | {"structure": as_record(atoms)}, {"energy_ev_per_atom": -7.5, "seconds": 1.0})
    entry = optimade_structure.resource(one, one.atoms(), [LINK])
    text = optimade_structure.response([entry], "campaign", "0.1.0")
    response = StructureResponseMany.model_validate_json(text)
    (read,) = response.data
    assert isinstance(read, StructureResource) and read.id == read.attributes.immutable_id == one.key
    assert response.meta.provider.prefix == "mfal" and response.meta.data_returned == 1
    assert (read.attributes.chemical_formula_reduced, read.attributes.chemical_formula_anonymous) == (
        reduced,
        anonymous,
    )
    assert np.array(read.attributes.cartesian_site_positions) == pytest.approx(one.atoms().positions)
    own = read.attributes.model_extra
    assert own["_mfal_energy_ev_per_atom"] == -7.5 and own["_mfal_code"] == "GPAW"
    assert own["_mfal_observations"][0]["event_hash"] == LINK.event_hash


def test_formulas_of_many_elements_go_on_after_z():
    assert optimade_structure._anonymous([1] * 27 + [2]) == "A2BCDEFGHIJKLMNOPQRSTUVWXYZAaBa"

"""Files of displacement fields: formats, units and what they mean, and files that nobody should write."""

import json

import numpy as np
import pytest

from pinn.amounts import Amount
from pinn.errors import DataRefusedError
from pinn.stiffness.model import from_bunge
from pinn.stiffness.reading import Told, read_window

CELLS = 6
FORCE = {"load": 0, "axis": 0, "side": "far", "component": 0, "value": 2.0, "sd": 0.02}


def arrays(**change):
    """Return a window of two grains that is stretched along axis 0, with some arrays changed or left out (None)."""
    places = np.stack(np.meshgrid(*[np.arange(CELLS + 1.0)] * 2, indexing="ij"))
    found = {
        "grain_map": np.repeat([0, 1], CELLS // 2)[:, None].repeat(CELLS, axis=1),
        "displacements": 1e-3 * places[None] * np.array([1.0, -0.3])[None, :, None, None],
        "angles_deg": np.array([0.0, 30.0]),
    }
    return {name: value for name, value in {**found, **change}.items() if value is not None}


def read(folder, told=None, **change):
    np.savez(folder / "window.npz", **arrays(**change))
    return read_window(folder / "window.npz", told or Told("cubic", Amount(2.0, "um")))


def test_hdf5_says_what_an_archive_says_and_brings_its_spacing(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "window.h5", "w") as file:
        for name, value in arrays().items():
            file[name] = value
        file["spacing"], file["length_unit"], file["strain"] = 2.0, "µm", np.zeros(3)
    fields, model = read_window(tmp_path / "window.h5", Told("cubic"))
    same, other = read(tmp_path)
    assert (fields.spacing, fields.length_unit) == (2.0, "um")
    np.testing.assert_array_equal(fields.loads[0].displacement, same.loads[0].displacement)
    np.testing.assert_array_equal(model.rotations, other.rotations)


def test_displacements_and_their_noise_are_brought_to_the_unit_of_the_spacing(tmp_path):
    same = read(tmp_path)[0].loads[0].displacement
    for unit, factor in (("nm", 1e-3), ("cells", 2.0), ("um", 1.0)):
        told = Told("cubic", Amount(2.0, "um"), displacement_unit=unit, noise=0.5)
        fields, _ = read(tmp_path, told)
        np.testing.assert_allclose(fields.loads[0].displacement, factor * same)
        assert fields.noise_sd == pytest.approx(0.5 * factor)


def test_forces_mean_the_same_in_every_table_and_unit(tmp_path):
    (tmp_path / "f.json").write_text(json.dumps([FORCE]))
    (tmp_path / "f.csv").write_text(",".join(FORCE) + "\n" + ",".join(map(str, FORCE.values())) + "\n")
    row = np.array([[0, 0, 1, 0, 2.0, 0.02]])
    spacing = Amount(2.0, "um")
    found = [read(tmp_path, forces=row)[0].loads[0].forces]
    found += [
        read(tmp_path, Told("cubic", spacing, forces=tmp_path / name))[0].loads[0].forces
        for name in ("f.json", "f.csv")
    ]
    assert found[0] == found[1] == found[2] and found[0][0].far and found[0][0].value == 2.0
    # 2 N on a sheet of 0.5 mm are 4 N/mm, and 1 N/mm = 1 GPa um; in MPa um, that is a thousand times as many.
    for unit, factor in (("GPa", 1.0), ("MPa", 1e3)):
        told = Told("cubic", spacing, stiffness_unit=unit, force_unit="N", thickness=Amount(500.0, "um"))
        force = read(tmp_path, told, forces=row)[0].loads[0].forces[0]
        assert force.value == pytest.approx(4.0 * factor) and force.sd == pytest.approx(0.04 * factor)


def test_forces_on_a_solid_are_stress_times_area(tmp_path):
    places = np.stack(np.meshgrid(*[np.arange(5.0)] * 3, indexing="ij"))
    change = {"grain_map": np.zeros((4, 4, 4), dtype=np.uint8), "displacements": 1e-3 * places, "angles_deg": None}
    change |= {"euler_deg": np.array([[10.0, 20.0, 30.0]]), "forces": np.array([[0, 0, 1, 0, 2.0, 0.02]])}
    # 1 mN on 1 um^2 is 1 GPa.
    fields, model = read(tmp_path, Told("cubic", Amount(2.0, "um"), force_unit="mN"), **change)
    assert fields.loads[0].forces[0].value == pytest.approx(2.0)
    np.testing.assert_allclose(model.rotations, from_bunge(np.deg2rad([[10.0, 20.0, 30.0]])))


def test_grains_have_their_own_constants_unless_told_otherwise(tmp_path):
    spacing = Amount(2.0, "um")
    assert read(tmp_path)[1].phases.tolist() == [0, 1]
    assert read(tmp_path, Told("cubic", spacing, one_material=True))[1].phases.tolist() == [0, 0]
    assert read(tmp_path, phases=np.array([0.0, 0.0]))[1].phases.tolist() == [0, 0]
    isotropic = read(tmp_path, Told("isotropic", spacing), angles_deg=None)[1]
    assert isotropic.rotations.shape == (2, 2, 2)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"\x89HDF\r\n\x1a\n", b"a,b\n1,2\n"], ids=range(4))
@pytest.mark.parametrize("suffix", [".npz", ".h5", ".txt"])
def test_damaged_files_are_refused_by_name(tmp_path, content, suffix):
    (tmp_path / f"window{suffix}").write_bytes(content)
    with pytest.raises(DataRefusedError, match="window"):
        read_window(tmp_path / f"window{suffix}", Told("cubic", Amount(1.0, "um")))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grain_map": np.full((CELLS, CELLS), np.nan)}, "whole numbers"),
        ({"grain_map": np.arange(CELLS)}, "needs"),
        ({"grain_map": np.zeros((2, 2), dtype=int), "displacements": np.zeros((1, 2, 3, 3))}, "at least four cells"),
        ({"displacements": np.array("text")}, "real numbers"),
        ({"displacements": np.zeros((1,) * 14)}, "different windows"),
        ({"displacements": np.full((1, 2, CELLS + 1, CELLS + 1), np.inf)}, "finite numbers"),
        ({"angles_deg": np.array([0.0, np.nan])}, "finite numbers, one row a grain"),
        ({"rotations": np.zeros((2, 2, 2))}, "angles_deg and rotations; give one of"),
        ({"angles_deg": None, "rotations": np.zeros((2, 2, 2))}, "rotations: at least one matrix is none"),
        ({"phases": np.array([0.5, 0.0])}, "phases has to be of whole numbers"),
        ({"spacing": np.ones(2), "length_unit": np.array("um")}, "is no number with one of"),
        ({"spacing": np.array(-2.0), "length_unit": np.array("um")}, "but the file says"),
        ({"forces": np.array([["a"] * 6])}, "one row a force"),
        ({"forces": np.array([[0, 0, 0.5, 0, 1.0, 0.1]])}, "neither 'near'"),
        ({"forces": np.array([[np.nan, 0, 1, 0, 1.0, 0.1]])}, "is not finite"),
    ],
)
def test_arrays_that_cannot_be_are_refused_with_file_and_key(tmp_path, change, message):
    with pytest.raises(DataRefusedError, match=message) as refused:
        read(tmp_path, **change)
    assert "window.npz" in str(refused.value)

"""`mfal stiffness` in process: exit status, what is said and what is written, with real fits of a small plate."""

import json
import re
import xml.etree.ElementTree as ElementTree
from functools import cache
from importlib.metadata import EntryPoint
from itertools import pairwise

import jax.numpy as jnp
import numpy as np
import pytest

import mfal.cli
from benchmarks.inverse.plate_data import Plate, make_plate, measured
from physics.elasticity.tensor import planar_rotation, to_voigt
from pinn.stiffness.model import GrainModel

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

GRAINS, CELLS, SPACING_UM, THICKNESS_MM = 4, 16, 2.0, 0.5
FORCES = "load,axis,side,component,value,sd\n"


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    """Have the command also where the package was installed before it had one."""
    point = EntryPoint("stiffness", "pinn.stiffness_command", "mfal.commands")
    monkeypatch.setattr(mfal.cli, "entry_points", lambda group: [point])


@cache
def plate() -> tuple[np.ndarray, np.ndarray, Plate]:
    """Return angles, free numbers of one cubic material and a plate of it, forces in GPa cells."""
    generator = np.random.default_rng(7)
    angles = generator.uniform(0, np.pi / 2, GRAINS)
    model = GrainModel("cubic", np.asarray(planar_rotation(jnp.asarray(angles))), np.zeros(GRAINS, dtype=int))
    truth = 0.5 * np.log([150.0, 40.0, 110.0])
    return angles, truth, make_plate(CELLS, np.asarray(model.grain_stiffness(jnp.asarray(truth), 2)), generator)


@cache
def arrays() -> dict[str, np.ndarray]:
    """Return what a file has, displacements in um."""
    angles, _, made = plate()
    fields = measured(made, 0.03, 0.0, np.random.default_rng(1))
    displacements = SPACING_UM * np.stack([load.displacement for load in fields.loads])
    displacements[0, :, 3, 5] = np.nan
    return {"grain_map": made.grain_map, "displacements": displacements, "angles_deg": np.rad2deg(angles)}


def newtons() -> list[str]:
    """Return the forces of the two tests in tension in N, 1 % uncertain: 1 GPa um = 1 N/mm."""
    values = [plate()[2].forces[load, load, load] * SPACING_UM * THICKNESS_MM for load in range(2)]
    return [f"{load},{load},far,{load},{value:.8g},{0.01 * value:.8g}" for load, value in enumerate(values)]


def written(folder, **change):
    """Write the file with some arrays changed, or left out where they are None, and return its path."""
    changed = {**arrays(), **change}
    np.savez(folder / "plate.npz", **{name: value for name, value in changed.items() if value is not None})
    return folder / "plate.npz"


def stiffness(*arguments):
    return mfal.cli.main(["stiffness", *map(str, arguments)])


TOLD = ("--symmetry", "cubic", "--spacing", "2um")


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """Fit once with forces in newtons beside the file: folder, exit status."""
    folder = tmp_path_factory.mktemp("plate")
    (folder / "forces.csv").write_text(FORCES + "\n".join(newtons()))
    forces = ("--forces", folder / "forces.csv", "--force-unit", "N", "--thickness", "500um")
    with pytest.MonkeyPatch.context() as patch:
        point = EntryPoint("stiffness", "pinn.stiffness_command", "mfal.commands")
        patch.setattr(mfal.cli, "entry_points", lambda group: [point])
        path = written(folder).rename(folder / "<b>plate&.npz")
        status = stiffness(path, *TOLD, "--one-material", *forces, "--out", folder / "out")
    return folder / "out", status


def true_constants() -> list[float]:
    model = GrainModel("cubic", np.eye(2)[None], np.zeros(1, dtype=int))
    voigt = np.asarray(to_voigt(model.phase_stiffness(jnp.asarray(plate()[1]))))[0]
    return [voigt[0, 0], voigt[0, 1], voigt[2, 2]]


def test_constants_come_back_in_their_unit_from_forces_in_newtons(outcome):
    folder, status = outcome
    record = json.loads((folder / "stiffness.json").read_text())
    assert status == 0 and record["trusted"] and record["ridge"] == ""
    for constant, true in zip(record["absolute"], true_constants(), strict=True):
        assert constant["unit"] == "GPa"
        # One seed: its 95 % interval may miss, twice the interval must not.
        assert abs(constant["value"] - true) < 4 * constant["sd"] and constant["sd"] < 0.05 * true
    assert record["fields"]["loads"] == 3 and record["fields"]["forces"] == [1, 1, 0]
    assert 0.99 < record["fields"]["seen"] < 1.0
    bounds = [np.array(record["effective"][name]) for name in ("Reuss", "periodic", "Voigt")]
    assert all(np.linalg.eigvalsh(above - below)[0] > -1e-6 for below, above in pairwise(bounds))
    with np.load(folder / record["fitted"]) as fields:
        assert fields["fitted"].shape == arrays()["displacements"].shape and np.all(np.isfinite(fields["fitted"]))


def test_the_page_stands_alone_is_escaped_and_has_every_constant(outcome):
    text = (outcome[0] / "stiffness.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;plate&amp;.npz" in text and "<b>plate" not in text
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)|url\((?!#)|@import|<script""", text)
    pictures = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(pictures) == 4
    for picture in pictures:
        ElementTree.fromstring(picture)
    for word in ("C11 of phase 0", "C66 of phase 0", "GPa", "uniform traction", "Voigt", "prefers-color-scheme"):
        assert word in text
    assert "trusted" in text and "not to be trusted" not in text


def test_lengths_in_other_units_are_seen_by_a_stiffness_that_nothing_has(tmp_path):
    # Displacements in um are told to be in nm: strains are a thousandth, stiffness is a thousand times what it is.
    (tmp_path / "forces.csv").write_text(FORCES + "\n".join(newtons()))
    forces = ("--forces", tmp_path / "forces.csv", "--force-unit", "N", "--thickness", "500um")
    told = (*TOLD, "--one-material", *forces, "--displacement-unit", "nm")
    assert stiffness(written(tmp_path), *told, "--out", tmp_path / "out") == 1
    record = json.loads((tmp_path / "out" / "stiffness.json").read_text())
    assert ["plausible"] == [check["name"] for check in record["checks"] if not check["passed"]]
    assert record["fields"]["mean_strain"] == pytest.approx(1e-6, rel=0.3)


def test_without_a_force_there_are_ratios_and_the_ridge_is_named(tmp_path, capsys):
    status = stiffness(written(tmp_path), *TOLD, "--one-material", "--out", tmp_path / "out")
    said = " ".join(capsys.readouterr().out.split())
    assert status == 0 and "not told by these fields: Every stiffness may be multiplied by one factor" in said
    record = json.loads((tmp_path / "out" / "stiffness.json").read_text())
    assert record["absolute"] == [] and record["scale"] is None and "force on one face" in record["ridge"]
    assert "GPa" not in said and record["effective"]["unit"] == "mean stiffness"
    assert "ratios only" in (tmp_path / "out" / "stiffness.html").read_text(encoding="utf-8")


def test_swapped_components_are_not_trusted(tmp_path):
    swapped = written(tmp_path, displacements=arrays()["displacements"][:, ::-1])
    assert stiffness(swapped, *TOLD, "--one-material", "--out", tmp_path / "out") == 1
    record = json.loads((tmp_path / "out" / "stiffness.json").read_text())
    misfit = next(check for check in record["checks"] if check["name"] == "misfit")
    assert not misfit["passed"] and "order of components" in misfit["reason"]


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        ({}, ("--spacing", "2"), "has no unit; write it as"),
        ({"grain_map": None}, (), "has no grain_map, only"),
        ({"displacements": None, "displacement": np.zeros(3)}, (), "rename it to 'displacements'"),
        ({"force": np.zeros((1, 6))}, (), "rename it to 'forces'"),
        ({"grain_map": np.zeros((9, 9), dtype=int)}, (), "different windows or resolutions"),
        ({"grain_map": np.full((CELLS, CELLS), 0.5)}, (), "grain_map has to be of whole numbers"),
        ({"grain_map": 3 * (np.arange(CELLS**2).reshape(CELLS, CELLS) // 128)}, (), "without gaps"),
        ({"displacements": "last"}, (), "np.transpose(displacements, (0, 3, 1, 2))"),
        ({"displacements": "cells"}, (), "interpolate them to the corners"),
        ({"displacements": np.zeros((0, 2, CELLS + 1, CELLS + 1))}, (), "loads: there are none"),
        ({"displacements": np.full((1, 2, CELLS + 1, CELLS + 1), np.nan)}, (), "0% of the displacements"),
        ({"displacements": "objects"}, (), "arrays of numbers only"),
        ({"angles_deg": None}, (), "give one of angles_deg, euler_deg, rotations"),
        ({"angles_deg": np.zeros(3)}, (), "angles_deg of shape (3,)"),
        ({"angles_deg": None, "euler_deg": np.zeros((GRAINS, 3))}, (), "--plane strain or --plane stress"),
        ({"phases": np.zeros(GRAINS, dtype=int)}, ("--one-material",), "leave out --one-material"),
        ({"phases": np.ones(GRAINS, dtype=int)}, (), "from 0 without gaps"),
        ({"spacing": np.array(3.0), "length_unit": np.array("um")}, (), "but the file says 3 um"),
        ({"spacing": np.array(3.0)}, (), "(no length_unit) is no number with one of"),
        ({"forces": np.zeros((2, 5))}, (), "one row a force with load, axis"),
        ({"forces": np.array([[9, 0, 1, 0, 1.0, 0.1]])}, (), "load=9, but the loads are 0 to 2"),
        ({"forces": np.array([[0, 0, 1, 0, 1.0, 0.0]])}, (), "the error above zero"),
        ({"forces": np.array([[0, 5, 1, 0, 1.0, 0.1]])}, (), "below 2"),
        ({}, ("--force-unit", "N"), "needs --thickness"),
        ({}, ("--thickness", "1mm"), "give --force-unit N as well"),
        ({}, ("--displacement-unit", "parsec"), "'parsec' is none of cells"),
        ({}, ("--displacement-unit", "m"), "different units"),
        ({}, ("--load-cell-error", "2"), "a relative error"),
    ],
)
def test_what_cannot_be_fitted_is_refused_in_one_line(tmp_path, capsys, change, arguments, message):
    u = arrays()["displacements"]
    places = {"last": np.moveaxis(u, 1, -1), "cells": u[..., 1:, 1:], "objects": np.array([{}], dtype=object)}
    change = {key: places[value] if isinstance(value, str) else value for key, value in change.items()}
    assert stiffness(written(tmp_path, **change), *TOLD, *arguments, "--out", tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert said.startswith("mfal: ") and message in said and said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_no_spacing_no_file_and_a_file_in_the_way_are_refused(tmp_path, capsys):
    path = written(tmp_path)
    for arguments, message in (
        (
            (path, "--symmetry", "cubic", "--out", tmp_path / "out"),
            "no spacing; give the edge of a cell",
        ),
        ((tmp_path / "none.npz", *TOLD, "--out", tmp_path / "out"), "is no file"),
        ((path, *TOLD, "--out", path), "is a file; name a folder"),
        ((path, *TOLD, "--forces", path, "--out", tmp_path / "out"), "is no .csv or .json file"),
    ):
        assert stiffness(*arguments) == 1
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("f.csv", "load,axis\n0,0\n", "['component', 'sd', 'side', 'value'] missing"),
        ("f.csv", FORCES + "0,0,left,0,1,0.1\n", "side 'left' is neither 'near'"),
        ("f.csv", FORCES + "0.5,0,far,0,1,0.1\n", "load '0.5' is no whole number"),
        ("f.csv", FORCES + "0,0,far,0,strong,0.1\n", "value 'strong' is no number"),
        ("f.csv", FORCES + "0,0,far,0,nan,0.1\n", "is not finite"),
        ("f.csv", FORCES + "0,0,far,0,1,0.1,7\n", "missing or unknown"),
        ("f.json", "{}", "no list of objects"),
        ("f.json", "[1", "cannot be read"),
    ],
)
def test_tables_of_forces_that_name_no_face_are_refused(tmp_path, capsys, name, text, message):
    (tmp_path / name).write_text(text)
    arguments = ("--forces", tmp_path / name, "--out", tmp_path / "out")
    assert stiffness(written(tmp_path), *TOLD, *arguments) == 1
    assert message in capsys.readouterr().err

"""`mfal infer` in process: exit status, what is said and what is written, with real fits of small scenes."""

import json
from importlib.metadata import EntryPoint

import numpy as np
import pytest

import mfal.cli
from tests.pinn.scenes import circle

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    """Have the command also where the package was installed before it had one."""
    point = EntryPoint("infer", "pinn.command", "mfal.commands")
    monkeypatch.setattr(mfal.cli, "entry_points", lambda group: [point])


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """Write a shrinking circle, as Allen and Cahn's equation moves it, with little noise."""
    path = tmp_path_factory.mktemp("images") / "scene.npz"
    np.savez(path, frames=circle(frames=10, pixels=24, noise=0.005))
    return path


def infer(*arguments):
    return mfal.cli.main(["infer", *map(str, arguments)])


ALLEN_CAHN = ("--model", "allen-cahn", "--edge", "periodic", "--blur", "0")


def test_a_circle_gives_products_and_a_ridge(scene, tmp_path, capsys):
    status = infer(scene, *ALLEN_CAHN, "--pixel-size", "0.2um", "--frame-time", "2s", "--out", tmp_path / "out")
    said = capsys.readouterr().out
    assert "M kappa" in said and "µm²/s" in said and "not told by the images" in said
    record = json.loads((tmp_path / "out" / "inference.json").read_text())
    assert record["separate"] == [] and record["ridge"] and status == (0 if record["trusted"] else 1)
    values = {quantity["symbol"]: quantity for quantity in record["identified"]}
    # The area shrinks by 4 px^2 pi a frame: R^2 = R0^2 - 2 a t, so a = 2 px^2 in 2 s... of a sharp circle.
    assert values["M kappa"]["value"] == pytest.approx(2.0 * 0.04 / 2.0, rel=0.1)
    assert values["interface width"]["value"] == pytest.approx(0.4, rel=0.1)
    assert (tmp_path / "out" / "inference.html").exists()

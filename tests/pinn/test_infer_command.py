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
    # Told the first field, the fit takes a few seconds.
    np.save(tmp_path / "first.npy", (circle(frames=10, pixels=24, noise=0.0)[0] - 0.2) / 0.5)
    units = ("--pixel-size", "0.2um", "--frame-time", "2s", "--initial", tmp_path / "first.npy")
    status = infer(scene, *ALLEN_CAHN, *units, "--out", tmp_path / "out")
    said = capsys.readouterr().out
    assert "M kappa" in said and "µm²/s" in said and "not told by the images" in said
    assert said.index("before the fit") < said.index("M kappa") and "not at all" in " ".join(said.split())
    record = json.loads((tmp_path / "out" / "inference.json").read_text())
    assert record["separate"] == [] and record["ridge"] and status == (0 if record["trusted"] else 1)
    values = {quantity["symbol"]: quantity for quantity in record["identified"]}
    # The area shrinks by 4 px^2 pi a frame: R^2 = R0^2 - 2 a t, so a = 2 px^2 in 2 s... of a sharp circle.
    assert values["M kappa"]["value"] == pytest.approx(2.0 * 0.04 / 2.0, rel=0.1)
    assert values["interface width"]["value"] == pytest.approx(0.4, rel=0.1)
    hoped, found = (np.array(record[name]["eigenvalues"]) for name in ("foretold", "spectrum"))
    # From start values of the rates: deviations within a factor of three.
    np.testing.assert_allclose(np.log(hoped[:2] / found[:2]) / 2, 0.0, atol=np.log(3.0))
    assert "Expected before the fit" in (tmp_path / "out" / "inference.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "no pixel size; give --pixel-size"),
        (("--pixel-size", "0.2"), "has no unit; write it as '0.2um'"),
        (("--pixel-size", "0.2um"), "no times; give --frame-time"),
        (("--in-pixels", "--driving-force", "2 MJ/m^3"), "an energy gives no scale --in-pixels"),
        (("--in-pixels", "--axes", "YXT"), "correct --axes"),
        (("--in-pixels", "--time-unit", "fortnight"), "--time-unit 'fortnight' is none of"),
        (("--in-pixels", "--initial", "{scene}"), "is no .npy file of numbers"),
        (("--in-pixels", "--model", "cahn-hilliard", "--driven"), "no driving force acts in cahn-hilliard"),
    ],
)
def test_what_cannot_be_fitted_is_refused_in_one_line(scene, tmp_path, capsys, arguments, message):
    told = [str(scene) if text == "{scene}" else text for text in arguments]
    assert infer(scene, "--out", tmp_path / "out", *ALLEN_CAHN, *told) == 1
    said = capsys.readouterr().err
    assert said.startswith("mfal: ") and message in said and said.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--initial", "missing.npy"), "is no .npy file of numbers"),
        (("--noise", "-1"), "camera.noise_sd=-1.0: give a positive number"),
        (("--interface-energy", "-2 J/m^2"), "is not positive; an interface costs energy"),
    ],
)
def test_settings_are_refused_before_images_are_read(tmp_path, capsys, arguments, message):
    told = ("--pixel-size", "1um", "--frame-time", "1s", "--out", tmp_path / "out")
    assert infer(tmp_path / "no such images.npz", *ALLEN_CAHN, *told, *arguments) == 1
    assert message in capsys.readouterr().err


def test_a_segmentation_and_a_file_in_the_way_are_refused(scene, tmp_path, capsys):
    np.savez(tmp_path / "labels.npz", frames=circle() > 0.45)
    assert infer(tmp_path / "labels.npz", *ALLEN_CAHN, "--in-pixels", "--out", tmp_path / "out") == 1
    assert "segmentation" in capsys.readouterr().err
    assert infer(scene, *ALLEN_CAHN, "--in-pixels", "--out", scene) == 1
    assert "is a file; name a folder" in capsys.readouterr().err


def test_a_pattern_that_only_drifts_is_not_trusted(tmp_path, capsys):
    still = circle(frames=1, pixels=24, noise=0.0)[0]
    drift = np.stack([np.roll(still, number, axis=1) for number in range(6)])
    np.savez(tmp_path / "drift.npz", frames=drift + 0.005 * np.random.default_rng(0).standard_normal(drift.shape))
    np.save(tmp_path / "first.npy", (still - 0.2) / 0.5)
    told = ("--in-pixels", "--initial", tmp_path / "first.npy", "--out", tmp_path / "out")
    assert infer(tmp_path / "drift.npz", *ALLEN_CAHN, *told) == 1
    assert "not to be trusted" in capsys.readouterr().out

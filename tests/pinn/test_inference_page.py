"""The page and the record of an inference: complete, escaped, valid, without anything from elsewhere."""

import hashlib
import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest

from pinn.phase_field.models import AllenCahn
from pinn.report.page import rows, write_page
from pinn.report.record import Inference, write_record
from pinn.series import ImageSeries
from tests.pinn.scenes import circle, estimate

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")


def inference(folder, **how):
    frames = circle()
    frames[1, 3:6] = np.nan
    np.savez(folder / "<scene>.npz", frames=frames)
    series = ImageSeries(frames, 2.0 * np.arange(6.0), 0.2, "um", "s")
    return Inference(folder / "<scene>.npz", series, AllenCahn(), estimate(series, **how))


def test_page_stands_alone_and_escapes(tmp_path):
    text = write_page(inference(tmp_path), tmp_path / "page.html").read_text(encoding="utf-8")
    assert "&lt;scene&gt;.npz" in text and "<scene>" not in text and "residuals <of" not in text
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", text)
    pictures = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(pictures) == 4
    for picture in pictures:
        ElementTree.fromstring(picture)


def test_page_says_what_is_wrong_and_what_is_open(tmp_path):
    text = write_page(inference(tmp_path, trusted=False), tmp_path / "page.html").read_text(encoding="utf-8")
    assert "not to be trusted" in text and "failed: white residuals" in text
    assert "follow only with a driving force" in text and "no scale" in text
    text = write_page(inference(tmp_path, scale=True), tmp_path / "page.html").read_text(encoding="utf-8")
    assert "0.300 J/m²" in text and "no scale" not in text


@pytest.mark.parametrize("shape", [(6, 40), (6, 12, 14, 16)], ids=["line", "volume"])
def test_page_draws_lines_and_volumes(tmp_path, shape):
    rng = np.random.default_rng(0)
    frames = rng.random(shape)
    np.savez(tmp_path / "scene.npz", frames=frames)
    series = ImageSeries(frames, np.arange(6.0))
    outcome = replace(estimate(ImageSeries(circle(), np.arange(6.0))), fitted=0.9 * frames, initial=frames[0])
    page = write_page(Inference(tmp_path / "scene.npz", series, AllenCahn(), outcome), tmp_path / "page.html")
    assert "6 frames of" in page.read_text(encoding="utf-8")


def test_record_holds_every_number(tmp_path):
    made = inference(tmp_path, scale=True)
    record = json.loads(write_record(made, tmp_path / "inference.json").read_text(encoding="utf-8"))
    assert [q["symbol"] for q in record["identified"]] == ["M kappa", "M W", "interface width"]
    assert record["separate"][0]["unit"] == "J/m^2" and record["trusted"] is True
    assert record["images"]["shape"] == [6, 32, 32]
    assert record["images"]["sha256"] == hashlib.sha256(made.path.read_bytes()).hexdigest()
    assert record["images"]["times"][-1] == 10.0 and len(record["log_covariance"]) == 3
    assert record["spectrum"]["parameters"] == ["M", "kappa", "W"] and record["spectrum"]["eigenvalues"][-1] == 0.0
    with np.load(tmp_path / record["fields"]) as fields:
        np.testing.assert_array_equal(fields["fitted"], made.estimate.fitted)


def test_numbers_have_the_digits_that_their_intervals_are_worth(tmp_path):
    shown = rows(inference(tmp_path).estimate.identified)
    assert [(row.value, row.low, row.high, row.relative) for row in shown] == [
        ("0.012000", "0.011902", "0.012098", "0.42 %"),
        ("0.3100", "0.3061", "0.3139", "0.65 %"),
        ("0.2780", "0.2760", "0.2800", "0.36 %"),
    ]

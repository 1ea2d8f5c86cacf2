"""The page of a study: self-contained, escaped, and its slider reads what the study found."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from mfal.campaign.goal import goal
from mfal.cli import main
from mfal.report.future import Future, write_future
from mfal.whatif.bands import QUANTILES
from tests import synthetic


def future(name="synthetic", finished=1.0):
    config = synthetic.config(name=name)
    money, hits = pd.Index(np.linspace(0.0, 4000.0, 5), name="eur"), np.arange(5.0)
    bands = pd.DataFrame({"mean": hits, **{column: hits for column in QUANTILES}}, index=money)
    chance = pd.DataFrame({1: hits / 4.0, 2: hits / 8.0}, index=money)
    return Future(config, goal(config), 4000.0, 0.0, bands, bands.set_axis(hits), chance, {"low": 24.0}, finished, 9)


def test_the_page_holds_what_the_slider_needs_and_nothing_from_outside(tmp_path):
    text = write_future(future(), tmp_path / "whatif.html").read_text()
    grid = json.loads(text.split("const grid = ")[1].split(";\n")[0])
    assert grid["eur"] == [0.0, 1000.0, 2000.0, 3000.0, 4000.0]
    assert grid["counts"] == [1, 2] and grid["chance"][2] == [0.5, 0.25]
    assert [row[grid["bands"].index("median")] for row in grid["hits"]] == [0, 1, 2, 3, 4]
    assert not re.search(r"""(src|href)\s*=\s*["'](?!#)""", text)
    assert "@import" not in text and not re.search(r"url\((?!#)", text)


def test_names_are_escaped(tmp_path):
    text = write_future(future(name="<script>alert(1)</script>"), tmp_path / "whatif.html").read_text()
    assert "<script>alert" not in text and "&lt;script&gt;alert" in text


def test_campaigns_that_had_not_ended_are_said():
    assert "raise --steps" in future(finished=0.9).verdict
    assert "raise --steps" not in future().verdict
    assert "4 to 4 in 80 %" in future().verdict


def test_a_directory_without_a_campaign_is_refused(tmp_path, capsys):
    assert main(["whatif", str(tmp_path)]) == 1
    assert "holds no campaign" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--campaigns", "--budget"])
def test_what_is_no_number_is_refused(option, capsys):
    with pytest.raises(SystemExit):
        main(["whatif", "runs/x", option, "many"])
    assert "invalid" in capsys.readouterr().err

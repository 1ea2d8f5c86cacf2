"""The page of a study: self-contained, escaped, and its sliders read what the study found."""

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mfal.campaign.build import build_rules
from mfal.cli import main
from mfal.report import future as futures
from mfal.report.future import Answers, Future, look_ahead, write_future
from tests import synthetic
from tests.mfal.report.browser import CHROMIUM, browser
from tests.mfal.whatif import made_up


@pytest.fixture(scope="module")
def rules():
    return build_rules(synthetic.config())


@pytest.fixture(scope="module")
def ahead(rules):
    """What `look_ahead` makes of outcomes that are made up."""
    study = made_up.setting(rules)
    seen = []

    def set_up(policy, start, names, goal, value, campaigns, steps, seed, watch, faults) -> tuple:
        watch(8)
        run = lambda *scenario: watch(8) or study.run(*scenario)  # noqa: E731
        return study.base, replace(study, run=run)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(futures, "set_up", set_up)
        patch.setattr(futures, "_from_file", lambda _: (synthetic.config(), rules, study.start))
        found = look_ahead(futures.Path(__file__), None, 8, 30, 0, lambda *progress: seen.append(progress))
    return found, seen


@pytest.fixture
def future(ahead) -> Future:
    return ahead[0]


def renamed(future, name):
    section = future.config.campaign.model_copy(update={"name": name})
    return replace(future, config=future.config.model_copy(update={"campaign": section}))


def means(grid):
    """Return the mean hits by price and budget: the sum of the chances of at least 1, 2, ... hits."""
    return np.array(grid["rows"])[:, :, 1:].sum(axis=2)


def grid_of(text):
    return json.loads(text.split("const grid = ")[1].split(";\n")[0])


def test_the_page_holds_what_the_sliders_need_and_nothing_from_outside(future, tmp_path):
    text = write_future(future, tmp_path / "whatif.html").read_text()
    grid = grid_of(text)
    assert grid["eur"][0] == 0.0 and grid["eur"][-1] == 4000.0 and len(grid["eur"]) == 61
    assert grid["varied"] == ["high"] and set(grid["prices"]) == {"low", "middle", "high"}
    assert np.shape(grid["rows"]) == (3, 61, 1 + len(grid["counts"]))
    np.testing.assert_allclose(means(grid)[1], future.by_budget["mean"], atol=1e-3)
    np.testing.assert_allclose(np.array(grid["rows"])[1, :, 0], future.stopping["net_eur"], atol=1e-3)
    assert not re.search(r"""(src|href)\s*=\s*["'](?!#)""", text)
    assert "@import" not in text and not re.search(r"url\((?!#)", text)
    assert not re.search(r"""https?://(?!www\.w3\.org/2000/svg)""", text), "the name of SVG is no address"


def test_what_goes_wrong_in_the_worlds_is_listed(future, tmp_path):
    said = ("hardness: days off by 8", "<b>")
    text = write_future(replace(future, faults=said), tmp_path / "whatif.html").read_text()
    assert "<li>hardness: days off by 8</li>" in text and "&lt;b&gt;" in text
    assert "What goes wrong" not in write_future(future, tmp_path / "whatif.html").read_text()


def test_names_are_escaped(future, tmp_path):
    text = write_future(renamed(future, "<script>alert(1)</script>"), tmp_path / "whatif.html").read_text()
    assert "<script>alert" not in text and "&lt;script&gt;alert" in text


def test_numbers_that_are_none_do_not_reach_the_page(future, tmp_path):
    text = write_future(future, tmp_path / "whatif.html").read_text()
    json.loads(text.split("const charts = ")[1].split(";\n")[0], parse_constant=pytest.fail)
    assert ">nan<" not in text


def test_campaigns_that_had_not_ended_are_said(future):
    assert "raise --steps" in replace(future, finished=0.9).verdict
    assert "raise --steps" not in future.verdict
    assert "3 hits in the median" in future.verdict


def test_every_question_has_a_sentence(future):
    advice = "\n".join(future.advice)
    for said in ("net worth is greatest at", "split", "ne more EUR", "low pays", "middle pays", "funnel"):
        assert said in advice


def test_advice_is_given_only_where_it_is_clear(future):
    unsure = future.answers.marginal.assign(per_eur=1.0, se_per_eur=0.9)
    sure = unsure.assign(se_per_eur=[0.9, 0.1, 0.9, 0.9], per_eur=[1.0, 0.8, 1.0, 1.0])
    nothing = unsure.assign(per_eur=np.nan)
    said = [futures._next_euro(table) for table in (unsure, sure, nothing)]
    assert said[0].startswith("No fidelity") and "nothing left" in said[2]
    assert (
        said[1] == "One more EUR most surely brings something spent now at middle: EUR 0.80 ± 0.10, which does not pay."
    )


def test_progress_ends_where_it_said_it_would(ahead):
    """Of made-up outcomes nothing is remembered, so that scenarios asked for twice are simulated twice."""
    done, total = ahead[1][-1]
    assert total <= done and ahead[1][0][0] == 8


def test_a_ladder_of_one_fidelity_has_no_lower_source(future, tmp_path):
    """Then there is nothing to break even, and no funnel."""
    empty = replace(
        future.answers, price=future.answers.price.iloc[:0], correlation=future.answers.correlation.iloc[:0]
    )
    text = write_future(replace(future, answers=empty), tmp_path / "whatif.html").read_text()
    assert "each source pays" not in text


def test_the_command_says_what_follows(future, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(futures, "look_ahead", lambda *_, **__: future)
    assert main(["whatif", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "Expected net worth is greatest" in said and (tmp_path / "whatif.html").exists()


def test_a_directory_without_a_campaign_is_refused(tmp_path, capsys):
    assert main(["whatif", str(tmp_path)]) == 1
    assert "holds no campaign" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--campaigns", "--budget"])
def test_what_is_no_number_is_refused(option, capsys):
    with pytest.raises(SystemExit):
        main(["whatif", "runs/x", option, "many"])
    assert "invalid" in capsys.readouterr().err


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium")
def test_the_sliders_show_what_the_study_found(future, tmp_path):
    text = write_future(future, tmp_path / "whatif.html")
    grid = grid_of(text.read_text())
    mean, eur = means(grid), np.array(grid["eur"])
    with browser(tmp_path / "profile") as page:
        page.open(text)
        figures = lambda: (float(page.text("mean")), float(page.text("eur").removeprefix("EUR ").replace(",", "")))  # noqa: E731
        assert figures() == (round(mean[1, -1], 1), 4000.0)
        assert page.run("document.querySelectorAll('svg').length") == 7
        page.drag("money", 0.5)
        hits, at = figures()
        assert abs(at - 2000.0) < 100.0
        assert hits == pytest.approx(np.interp(at, eur, mean[1]), abs=0.06)
        page.click("back")
        assert figures()[1] == 4000.0
        page.drag("price-2", 0.0)
        assert page.text("price-2-eur") == "EUR 150"
        assert figures()[0] == pytest.approx(mean[0, -1], abs=0.06)
        page.drag("price-2", 0.75)
        factor = float(page.text("price-2-eur").removeprefix("EUR ")) / 300.0
        assert figures()[0] == pytest.approx(np.interp(np.log2(factor), [-1.0, 0.0, 1.0], mean[:, -1]), abs=0.06)
        assert page.run("document.querySelectorAll('#chances .row').length") == len(grid["counts"])


@pytest.mark.slow
def test_a_whole_study_from_a_campaign_that_ran(finished, rules):
    """Nothing is made up: from a ledger with money left to every answer."""
    seen = []
    found = look_ahead(finished, 6000.0, 8, 30, 0, lambda *progress: seen.append(progress))
    assert isinstance(found.answers, Answers) and isinstance(found.answers.grid, pd.DataFrame)
    assert seen[-1][0] == seen[-1][1], "the rehearsal foretold how many"
    assert found.spent_eur > 0.0


def test_help_imports_nothing_heavy():
    import subprocess
    import sys

    code = "import sys, mfal.cli.whatif; print(any(name in sys.modules for name in ('jax', 'pandas', 'rich')))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"

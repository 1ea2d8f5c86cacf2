"""The page: self-contained, escaped, and true to what was learnt."""

import re
from dataclasses import replace

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from mfal.campaign.build import recorded_rules
from mfal.campaign.history import fold
from mfal.campaign.loop import Campaign
from mfal.dataset import OBSERVED, Dataset
from mfal.laboratory.review import Item
from mfal.ledger import read_events
from mfal.report.judgement import kept
from mfal.report.page import write_page
from mfal.report.reading import read_campaign
from mfal.report.relation import _Links, forecasts, relations
from mfal.surrogate.joint import JointGP, joint_prior
from mfal.surrogate.recursive import recursive_surrogate
from tests import synthetic


@pytest.fixture(scope="module")
def learnt(finished):
    events = read_events(finished)
    rules = recorded_rules(events[0].payload)[1]
    return rules, fold(rules, events)


def test_nothing_is_loaded_from_elsewhere(finished, tmp_path):
    page = write_page(read_campaign(finished), tmp_path / "report.html").read_text()
    assert page.count("<svg") == 3
    assert re.findall(r"<(?:script|link|img|iframe)\b|\bsrc=|@import|url\((?!#)", page) == []


def test_text_from_the_campaign_file_is_escaped(tmp_path):
    campaign = Campaign.start(synthetic.config(name="<script>alert(1)</script>"), tmp_path)
    campaign.run(lambda _: None)
    campaign.close()
    page = write_page(read_campaign(tmp_path), tmp_path / "report.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_what_waits_for_a_person_is_listed(finished, tmp_path):
    reading = read_campaign(finished)
    assert reading.waiting is None, "no laboratory of people is asked"
    item = Item("Q-17", "outlier", 0.72, "5 where <1> was predicted", "high:c01")
    page = write_page(replace(reading, waiting=(item,)), tmp_path / "report.html").read_text()
    assert "Waits for a person (1)" in page and "Q-17" in page and "0.72" in page and "&lt;1&gt;" in page
    assert "Nothing: every result" in write_page(replace(reading, waiting=()), tmp_path / "report.html").read_text()
    assert "Waits for a person" not in write_page(reading, tmp_path / "report.html").read_text()


def test_a_page_can_be_written_before_anything_is_measured(tmp_path):
    campaign = Campaign.start(synthetic.config(), tmp_path)
    campaign.close()
    page = write_page(read_campaign(tmp_path), tmp_path / "report.html").read_text()
    assert "not finished" in page


def test_relations_hold_between_the_answers(learnt):
    rules, progress = learnt
    found = {(r.lower, r.upper): r for r in relations(rules, progress, [0.0, 0.0, 0.0])}
    assert set(found) == {("low", "middle"), ("low", "high"), ("middle", "high")}
    for relation in found.values():
        # The synthetic parts of their own have standard deviations of 0.08 and 0.04.
        assert np.abs(relation.y - relation.line(relation.x)).max() < 0.35
        assert relation.offset_sd > 0.0 and relation.slope_sd > 0.0
        np.testing.assert_allclose(relation.line(np.array([0.0])), relation.offset, atol=1e-12)
        assert (np.diff(relation.line_sd(np.linspace(0.0, 2.0, 5))) >= 0.0).all()
    links = progress.state.belief.links()
    direct, through = found["low", "middle"].slope * found["middle", "high"].slope, float(links.slope_mean[2, 0])
    assert found["low", "high"].slope == pytest.approx(direct + through, rel=1e-9)


@pytest.mark.parametrize("surrogate", ["recursive", "joint"])
def test_relations_recover_lines_that_were_drawn(surrogate):
    """The middle is low / 2 + 1, give or take 0.2, and high = 2 middle - 3: relations say so at the typical values."""
    pool = synthetic.pool({"size": 24})
    low = np.sin(pool.descriptors[:, 0]) + pool.descriptors[:, 1]
    middle = 0.5 * low + 1.0 + 0.2 * np.random.default_rng(1).normal(size=24)
    table = np.column_stack([low, middle, 2.0 * middle - 3.0])
    typical = [0.2, 1.0, -1.0]
    value, spread = jnp.array(typical), jnp.array([1.0, 0.5, 1.0])
    features = jnp.asarray(pool.features)
    if surrogate == "recursive":
        model = recursive_surrogate(features, value, spread, False)
    else:
        prior = joint_prior(value, spread, 2, "lmc")
        model = JointGP(features, prior, prior.mean, 128)
    status = jnp.full((24, 3), OBSERVED, dtype=jnp.int8)
    dataset = Dataset(status, jnp.asarray(table), jnp.full((24, 3), 1e-6))
    belief = eqx.filter_jit(lambda m, d: m.fit(d, jnp.ones(3, dtype=bool)).condition(d))(model, dataset)
    known = _Links.of(belief, np.array(typical))
    for lower, upper, slope, intercept in [(0, 1, 0.5, 1.0), (1, 2, 2.0, -3.0), (0, 2, 1.0, -1.0)]:
        level, level_sd, found, found_sd = known.line(lower, upper)
        assert found == pytest.approx(slope, abs=0.3 + 3.0 * found_sd)
        assert level == pytest.approx(intercept + slope * typical[lower], abs=0.15 + 3.0 * level_sd)


def test_forecasts_leave_out_what_was_measured(learnt):
    rules, progress = learnt
    measured = {o.candidate for o in progress.observations if o.fidelity == "high"}
    rows = forecasts(rules, progress)
    assert {row.candidate for row in rows} == set(rules.pool.ids) - measured
    assert [row.probability for row in rows] == sorted((row.probability for row in rows), reverse=True)
    # The campaign stopped because no measurement was worth its price.
    assert all(2000.0 * row.probability == pytest.approx(row.gain) for row in rows)
    assert all(row.gain <= 300.0 * 1.1 for row in rows)


@pytest.fixture(scope="module", params=["window", pytest.param("improvement", marks=pytest.mark.slow)])
def other(request, tmp_path_factory):
    questions = {
        "window": {"window": [-0.5, -0.2], "value_of_hit_eur": 2000.0},
        "improvement": {"best": "highest", "value_per_unit_eur": 5000.0},
    }
    directory = tmp_path_factory.mktemp("other") / "campaign"
    campaign = Campaign.start(synthetic.asking(**questions[request.param]), directory)
    campaign.run(lambda _: None)
    campaign.close()
    return request.param, directory


def test_the_page_speaks_of_the_question_that_was_asked(other, tmp_path):
    name, directory = other
    page = re.sub(r"\s+", " ", write_page(read_campaign(directory), tmp_path / "report.html").read_text())
    assert page.count("<svg") == 3
    if name == "window":
        assert "Sought: synthetic energy from -0.5 to -0.2 eV/atom" in page
        assert "true candidates in the window found" in page and "4 true candidates in the window, found" in page
        assert ">window<" in page, "the band has its place in the legend"
        assert "distance to the window" in page
    else:
        assert "Sought: the highest synthetic energy" in page
        assert "is the best possible" in page and "Best value found" in page
        assert "an improvement by 1 eV/atom is worth EUR 5,000" in page
        assert "P(better)" in page and "P(hit)" not in page


def test_the_judgement_is_on_the_page_and_kept_beside_it(finished, tmp_path):
    reading = read_campaign(finished)
    page = write_page(reading, tmp_path / "report.html").read_text()
    judgement = kept(reading.head, tmp_path)
    assert judgement.verdict[1:] in page
    assert [row.source for row in judgement.sources] == ["low", "middle"]
    assert all(f'<td class="left">{row.verdict}</td>' in page for row in judgement.sources)
    assert kept("another head", tmp_path) is None
    assert kept(reading.head, tmp_path / "elsewhere") is None
    (tmp_path / "judgement.json").write_text("{")
    assert kept(reading.head, tmp_path) is None

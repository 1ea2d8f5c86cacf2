"""Bad input through a whole campaign: a right answer or a typed error, never a NaN, never a hang."""

import json
from pathlib import Path

import numpy as np
import pytest

from mfal.campaign.build import recorded_rules
from mfal.campaign.config import parse
from mfal.campaign.history import fold
from mfal.campaign.loop import Campaign
from mfal.errors import CampaignFileError, MfalError
from mfal.ledger import EventKind, read_events
from mfal.space.pool import Pool
from tests import synthetic

NAMES = ("low", "middle", "high")


def config(campaign=(), **rungs):
    """Return the synthetic campaign with keys of ``[campaign]`` and of single fidelities replaced."""
    changed = [{**rung, **rungs.get(rung["name"], {})} for rung in synthetic.RAW["fidelity"]]
    raw = {**synthetic.RAW, "campaign": {**synthetic.RAW["campaign"], **dict(campaign)}, "fidelity": changed}
    return parse(raw, Path("synthetic.toml"))


def run(chosen, directory, steps=400):
    """Run a campaign to its end and check that nothing in its ledger is a NaN and that nothing was overspent."""
    campaign, calls = Campaign.start(chosen, directory), 0

    def watch(_):
        nonlocal calls
        calls += 1
        assert calls < steps, "the campaign does not come to an end"

    progress = campaign.run(watch)
    campaign.close()
    events = read_events(directory)
    for event in events:
        json.dumps(event.payload, allow_nan=False)
    spent = sum(event.payload["price_eur"] for event in events if event.kind == EventKind.OBSERVATION)
    assert spent <= chosen.campaign.budget_eur
    belief = progress.state.belief
    assert np.isfinite(belief.mean).all() and np.isfinite(belief.own).all()
    return progress


def measured(progress):
    return [o.candidate for o in progress.observations if o.fidelity == "high" and o.failure is None]


def best(count):
    return {f"c{i:02d}" for i in np.argsort(synthetic.truth()[:, 2])[:count]}


def with_descriptors(monkeypatch, change):
    """Make the synthetic pool answer with other descriptors."""
    original = synthetic.pool

    def pool(options):
        plain = original(options)
        return Pool(plain.ids, change(np.array(plain.descriptors)), plain.columns)

    monkeypatch.setattr(synthetic, "pool", pool)


def copies(x):
    x[1::2] = x[::2]
    return x


DESCRIPTORS = {
    "identical pairs": copies,
    "all identical": lambda x: np.broadcast_to(x[:1], x.shape).copy(),
    "one constant": lambda x: np.column_stack([x[:, 0], np.full(len(x), 7.0)]),
    "all constant": lambda x: np.zeros_like(x),
    "huge and tiny": lambda x: x * np.array([1e150, 1e-150]),
    "equal columns": lambda x: np.column_stack([x[:, 0], x[:, 0]]),
}


@pytest.mark.parametrize("case", DESCRIPTORS)
def test_descriptors_that_say_little_are_survived(tmp_path, monkeypatch, case):
    """The cheap sources know the ranking well enough without them: the best candidate is found."""
    with_descriptors(monkeypatch, DESCRIPTORS[case])
    progress = run(config(), tmp_path)
    assert best(1) <= set(measured(progress))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_descriptors_that_are_no_numbers_are_refused_by_candidate(tmp_path, monkeypatch, bad):
    def change(x):
        x[3, 1] = bad
        return x

    with_descriptors(monkeypatch, change)
    with pytest.raises(MfalError, match=r"c03.*not finite"):
        Campaign.start(config(), tmp_path)
    assert not (tmp_path / "ledger.sqlite").exists()


def test_more_best_than_candidates_is_refused_at_the_start(tmp_path):
    with pytest.raises(CampaignFileError, match="top = 24 of 24 candidates asks nothing"):
        Campaign.start(config({"top": 24}), tmp_path)
    assert not (tmp_path / "ledger.sqlite").exists()


@pytest.mark.parametrize("fidelity", NAMES)
def test_answers_that_are_no_numbers_are_failures_with_a_reason(tmp_path, fidelity):
    options = {"options": {"level": NAMES.index(fidelity), "nan": [f"c{i:02d}" for i in range(0, 24, 3)]}}
    progress = run(config(**{fidelity: options}), tmp_path)
    failed = [o for o in progress.observations if o.failure is not None]
    assert {o.fidelity for o in failed} <= {fidelity}
    assert all("not finite" in o.failure and o.value is None for o in failed)
    assert measured(progress)


@pytest.mark.parametrize("fidelity", NAMES)
def test_a_source_that_only_fails_is_left_alone_and_said_so(tmp_path, fidelity):
    options = {"options": {"level": NAMES.index(fidelity), "fail_all": True}}
    # Without any screening the chance of a hit is 3/24, so a hit must be worth more than eight measurements.
    progress = run(config({"value_of_hit_eur": 4000.0}, **{fidelity: options}), tmp_path)
    assert f"{fidelity} failed 3 times in a row" in progress.stopped
    assert bool(measured(progress)) == (fidelity != "high"), "the others go on"


@pytest.mark.slow
def test_one_datum_is_enough_to_go_on(tmp_path):
    """Room for one answer at a time, and money for one measurement: every step is taken with one datum more."""
    single = {"capacity": 1}
    progress = run(config({"budget_eur": 330.0}, low=single, middle=single, high=single), tmp_path)
    assert len(measured(progress)) <= 1
    assert progress.observations


@pytest.mark.parametrize("noise", [0.0, 1e-9, 5.0])
def test_any_noise_of_the_target_is_survived(tmp_path, noise):
    progress = run(config(high={"noise_sd": noise}), tmp_path)
    assert progress.stopped
    assert noise > 1.0 or best(1) <= set(measured(progress))


def test_sources_that_are_one_and_the_same_are_survived(tmp_path):
    """Correlation exactly 1, no noise anywhere: after a measurement or two the screening says everything."""
    same = {"options": {"level": 2}, "noise_sd": 0.0}
    progress = run(config(low=same, middle=same, high=same), tmp_path)
    assert best(3) <= set(measured(progress))
    assert len(measured(progress)) <= 6
    assert np.allclose(np.asarray(progress.state.belief.mean)[:, 2], synthetic.truth()[:, 2], atol=0.2)


def test_a_source_that_always_says_the_same_is_survived(tmp_path, monkeypatch):
    original = synthetic.truth

    def flat(*arguments):
        table = original(*arguments).copy()
        table[:, 0] = 1.0
        return table

    monkeypatch.setattr(synthetic, "truth", flat)
    assert measured(run(config(), tmp_path))


@pytest.mark.parametrize("free", [["low"], ["low", "middle"], ["low", "middle", "high"]])
def test_what_is_free_is_asked_without_dividing_by_its_price(tmp_path, free):
    progress = run(config(**{name: {"price_eur": 0.0} for name in free}), tmp_path)
    assert best(3) <= set(measured(progress))
    if "high" in free:
        assert float(progress.state.spent_eur) == 0.0


def test_prices_a_million_apart_are_survived(tmp_path):
    progress = run(config(low={"price_eur": 3e-4}, middle={"price_eur": 3e-4}), tmp_path)
    assert best(3) <= set(measured(progress))


@pytest.mark.slow
def test_a_joint_surrogate_survives_the_same(tmp_path, monkeypatch):
    """Dear and noisy sources, so that the joint process is chosen, on identical pairs and with failures."""
    with_descriptors(monkeypatch, copies)
    noisy = {"noise_sd": 0.05, "price_eur": 20.0, "requires": []}
    options = {"level": 1, "nan": ["c20"], "fail": ["c10"]}
    progress = run(config(low=noisy, middle={**noisy, "options": options}), tmp_path)
    assert progress.stopped
    events = read_events(tmp_path)
    fold(recorded_rules(events[0].payload)[1], events, check=True)

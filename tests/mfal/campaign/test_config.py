"""The campaign file: every refusal names the place, the key and the remedy."""

import re
from importlib.resources import files
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from mfal.acquisition.confidence import ConfidenceBound
from mfal.acquisition.entropy import MaxValueEntropy
from mfal.acquisition.improvement import ExpectedImprovement
from mfal.acquisition.improvement_value import ImprovementValue
from mfal.acquisition.knowledge_gradient import KnowledgeGradient
from mfal.acquisition.thompson import ThompsonSampling
from mfal.acquisition.window import WindowInformation
from mfal.campaign.build import build_policy, build_surrogate
from mfal.campaign.config import load
from mfal.campaign.goal import goal
from mfal.campaign.plugins import build_oracles, build_pool
from mfal.errors import CampaignFileError, MfalError
from mfal.surrogate.joint import JointGP
from mfal.surrogate.recursive import RecursiveGP

GOOD = """\
[campaign]
name = "test"
seed = 1
budget_eur = 2000.0
best = "lowest"
top = 3
value_of_hit_eur = 900.0

[property]
name = "formation_energy"
unit = "eV/atom"
typical_value = -0.5
typical_spread = 0.4

[candidates]
source = "synthetic"

[[fidelity]]
name = "low"
oracle = "table"
price_eur = 0.5
latency_hours = 0.0
capacity = 8
noise_sd = 0.0
options = { level = 0 }

[[fidelity]]
name = "high"
oracle = "table"
price_eur = 300.0
latency_hours = 24.0
capacity = 2
noise_sd = 0.02
requires = ["low"]
target = true
options = { level = 2 }

[fast.campaign]
budget_eur = 600.0

[fast.fidelity.low]
price_eur = 0.25
"""


def refused(tmp_path, text, fast=False):
    path = tmp_path / "campaign.toml"
    path.write_text(text)
    with pytest.raises(CampaignFileError) as caught:
        load(path, fast)
    message = str(caught.value)
    assert str(path) in message
    return message


def line_of(text, part):
    return next(k for k, line in enumerate(text.splitlines(), 1) if part in line)


def test_a_good_file_loads_and_its_short_form_overrides(tmp_path):
    path = tmp_path / "campaign.toml"
    path.write_text(GOOD)
    full, short = load(path), load(path, fast=True)
    assert (full.campaign.budget_eur, full.ladder["low"].price_eur, full.ladder.target) == (2000.0, 0.5, "high")
    assert (short.campaign.budget_eur, short.ladder["low"].price_eur) == (600.0, 0.25)
    assert short.ladder["low"].options == {"level": 0}
    pool = build_pool(full)
    assert build_policy(full, pool).target == 1


# (old text, new text, line that the message must name, what it must say)
REFUSALS = {
    "unknown key": ("seed = 1", "sead = 1", "sead = 1", ["'sead'", "did you mean 'seed'?"]),
    "unknown key far from all": ("seed = 1", "seed = 1\nzzzz = 3", "zzzz", ["'zzzz'", "known keys:"]),
    "unknown key of a fidelity": ("capacity = 8", "capacity = 8\nprices = 1", "prices", ["'prices'", "did you mean 'price_eur'"]),  # noqa: E501
    "price in another currency": ("price_eur = 300.0", "price_usd = 300.0", "price_usd", ["'price_usd'", "'price_eur'"]),  # noqa: E501
    "price with a unit": ("price_eur = 300.0", 'price_eur = "5 EUR"', "5 EUR", ["'5 EUR'", "bare number in EUR"]),
    "latency with a unit": ("latency_hours = 24.0", 'latency_hours = "1 d"', "1 d", ["bare number in hours"]),
    "negative price": ("price_eur = 0.5", "price_eur = -0.5", "price_eur = -0.5", ["price_eur = -0.5 is refused"]),
    "negative noise": ("noise_sd = 0.02", "noise_sd = -0.02", "-0.02", ["noise_sd = -0.02 is refused"]),
    "not a number": ("price_eur = 300.0", "price_eur = nan", "nan", ["price_eur = nan is refused"]),
    "infinite budget": ("budget_eur = 2000.0", "budget_eur = inf", "inf", ["budget_eur = inf is refused"]),
    "zero budget": ("budget_eur = 2000.0", "budget_eur = 0.0", "budget_eur = 0.0", ["larger number"]),
    "true is no number": ("price_eur = 300.0", "price_eur = true", "price_eur = true", ["bare number in EUR"]),
    "fraction of a query": ("capacity = 8", "capacity = 8.5", "8.5", ["whole number"]),
    "wrong unit": ('unit = "eV/atom"', 'unit = "eV"', 'unit = "eV"', ["'eV' is wrong for formation_energy", "'eV/atom'"]),  # noqa: E501
    "neither lowest nor highest": ('best = "lowest"', 'best = "least"', '"least"', ["'least' is refused", "'highest'"]),
    "budget under the cheapest query": (
        "budget_eur = 2000.0", "budget_eur = 0.1", "budget_eur = 0.1", ["under the cheapest query (low, EUR 0.5)", "raise it"],  # noqa: E501
    ),
    "budget under the target": (
        "budget_eur = 2000.0", "budget_eur = 299.0", "budget_eur = 299", ["cannot pay one query of the target (high, EUR 300)"],  # noqa: E501
    ),
    "no target": ("target = true", "target = false", "[[fidelity]]", ["exactly one fidelity", "found []"]),
    "two targets": ("noise_sd = 0.0\n", "noise_sd = 0.0\ntarget = true\n", "[[fidelity]]", ["found ['low', 'high']"]),
    "same name twice": ('name = "high"', 'name = "low"', "[[fidelity]]", ["must be unique"]),
    "requires a stranger": ('["low"]', '["lwo"]', "requires", ["requires = ['lwo']", "['low', 'high']"]),
    "requires in a circle": (
        "noise_sd = 0.0\n", 'noise_sd = 0.0\nrequires = ["high"]\n', "[[fidelity]]", ["go in a circle", "low", "high"],
    ),
    "requires itself": ('["low"]', '["high"]', "requires", ["requires = ['high']"]),
    "missing key": ("capacity = 8\n", "", "[[fidelity]]", ["'capacity' is missing", "add it"]),
    "missing table": ('[candidates]\nsource = "synthetic"\n', "", None, ["'candidates' is missing"]),
    "unknown table": ("[candidates]", "[extra]\na = 1\n\n[candidates]", "[extra]", ["unknown key 'extra'"]),
    "unknown key of the model": ("[candidates]", '[model]\nsurogate = "joint"\n\n[candidates]', "surogate", ["'surogate'", "did you mean 'surrogate'?"]),  # noqa: E501
    "unknown surrogate": ("[candidates]", '[model]\nsurrogate = "forest"\n\n[candidates]', "forest", ["'forest' is refused", "'recursive'"]),  # noqa: E501
    "unknown acquisition": ("[candidates]", '[model]\nacquisition = "luck"\n\n[candidates]', "luck", ["'luck' is refused", "'entropy'"]),  # noqa: E501
    "window information without a window": (
        "[candidates]", '[model]\nacquisition = "window_information"\n\n[candidates]', "acquisition", ["needs [campaign] window"],  # noqa: E501
    ),
    "nonlinear joint": (
        "[candidates]", '[model]\nsurrogate = "joint"\nlink = "nonlinear"\n\n[candidates]', "link", ["link = 'nonlinear'", "write 'recursive'"],  # noqa: E501
    ),
    "negative waiting price": ("seed = 1", "seed = 1\nwaiting_eur_per_hour = -1.0", "waiting", ["waiting_eur_per_hour = -1.0 is refused"]),  # noqa: E501
    "spread of a fidelity that is none": ("capacity = 8", "capacity = 8\ntypical_spread = 0.0", "typical_spread = 0.0", ["typical_spread = 0.0 is refused"]),  # noqa: E501
    "top of nothing": ("top = 3", "top = 0", "top = 0", ["top = 0 is refused"]),
    "a table for a list": ("[campaign]", "campaign = 3\n[other]", None, ["campaign = 3 is refused"]),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_a_wrong_file_is_refused_at_its_line(tmp_path, case):
    old, new, named, said = REFUSALS[case]
    assert old in GOOD
    # Only the full form, so that the place is in what the user wrote there.
    text = GOOD[: GOOD.index("[fast.campaign]")].replace(old, new, 1)
    message = refused(tmp_path, text)
    for part in said:
        assert part in message
    if named:
        assert f"campaign.toml:{line_of(text, named)}:" in message


BEST = 'best = "lowest"\ntop = 3\nvalue_of_hit_eur = 900.0\n'
WINDOW = "window = [-0.6, -0.4]\nvalue_of_hit_eur = 900.0\n"
IMPROVEMENT = 'best = "highest"\nvalue_per_unit_eur = 5000.0\n'


@pytest.mark.parametrize("question", [BEST, WINDOW, IMPROVEMENT, "window = [-1, 0]\nvalue_of_hit_eur = 900.0\n"])
def test_each_question_is_accepted(tmp_path, question):
    path = tmp_path / "campaign.toml"
    path.write_text(GOOD.replace(BEST, question))
    config = load(path)
    assert goal(config).sentence
    assert build_policy(config, build_pool(config)).acquisition.in_eur
    again = type(config).model_validate(config.model_dump(mode="json"))
    assert again == config, "a campaign is resumed from what the ledger says of its file"


# (question, line that the message must name, what it must say)
QUESTIONS = {
    "none": ("", "[campaign]", ["key 'best' is missing", "which are the k best"]),
    "best without a number": ('best = "lowest"\n', "[campaign]", ["key 'top' is missing", "key 'value_of_hit_eur' is missing"]),  # noqa: E501
    "best without a value": ('best = "lowest"\ntop = 3\n', "[campaign]", ["key 'value_of_hit_eur' is missing", "add it"]),  # noqa: E501
    "a hit of what": ("value_of_hit_eur = 900.0\n", "[campaign]", ["key 'best' is missing", "key 'top' is missing"]),
    "window without a value": ("window = [0.0, 1.0]\n", "[campaign]", ["key 'value_of_hit_eur' is missing", "in a window"]),  # noqa: E501
    "window and best": (WINDOW + 'best = "lowest"\n', "best =", ["best does not belong here", "remove best"]),
    "window and top": (WINDOW + "top = 3\n", "top =", ["top does not belong here"]),
    "window and value per unit": (WINDOW + "value_per_unit_eur = 1.0\n", "value_per_unit", ["a file asks one question"]),  # noqa: E501
    "two values": (BEST + "value_per_unit_eur = 1.0\n", "value_per_unit", ["value_per_unit_eur does not belong here"]),
    "improvement without a direction": ("value_per_unit_eur = 1.0\n", "[campaign]", ["key 'best' is missing", "how much better"]),  # noqa: E501
    "more wanted than there are": (BEST + "wanted = 30\n", "wanted", ["wanted = 30 is more than the", "lower it"]),
    "wanted of an improvement": (IMPROVEMENT + "wanted = 3\n", "wanted", ["an improvement has none", "remove it"]),
    "no hit wanted": (WINDOW + "wanted = 0\n", "wanted", ["wanted"]),
    "wanted and information": (
        WINDOW + 'wanted = 3\n[model]\nacquisition = "window_information"\n', "acquisition", ["does not count hits"],
    ),
    "empty window": ("window = [1.0, 0.0]\nvalue_of_hit_eur = 900.0\n", "window", ["window = [1, 0] is empty"]),
    "window of no width": ("window = [1.0, 1.0]\nvalue_of_hit_eur = 900.0\n", "window", ["is empty"]),
    "window with one edge": ("window = [1.0]\nvalue_of_hit_eur = 900.0\n", "window", ["key 'window[1]' is missing"]),
    "window without an end": ("window = [1.0, inf]\nvalue_of_hit_eur = 900.0\n", "window", ["window[1] = inf is refused"]),  # noqa: E501
    "entropy of a window": (
        WINDOW + '[model]\nacquisition = "entropy"\n', "acquisition", ["acquisition = 'entropy' looks for the best", "'window_information'"],  # noqa: E501
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", QUESTIONS)
def test_a_file_asks_exactly_one_question(tmp_path, case):
    question, named, said = QUESTIONS[case]
    text = GOOD[: GOOD.index("[fast.campaign]")].replace(BEST, question)
    message = refused(tmp_path, text)
    for part in said:
        assert part in message
    assert f"campaign.toml:{line_of(text, named)}:" in message


ACQUISITIONS = {
    "value": ImprovementValue, "entropy": MaxValueEntropy, "improvement": ExpectedImprovement,
    "confidence_bound": ConfidenceBound, "thompson": ThompsonSampling, "knowledge_gradient": KnowledgeGradient,
}  # fmt: skip


@pytest.mark.parametrize("name", ACQUISITIONS)
def test_every_acquisition_can_be_asked_for(tmp_path, name):
    config = loaded(tmp_path, BEST, f'{IMPROVEMENT}[model]\nacquisition = "{name}"\n')
    acquisition = build_policy(config, build_pool(config)).acquisition
    assert type(acquisition) is ACQUISITIONS[name]
    assert (float(acquisition.sign), acquisition.target) == (-1.0, 1)
    assert acquisition.in_eur == (name == "value")
    np.testing.assert_allclose(acquisition.noise_variance, [0.0, 4e-4])


def test_window_information_gets_the_window(tmp_path):
    config = loaded(tmp_path, BEST, f'{WINDOW}[model]\nacquisition = "window_information"\n')
    acquisition = build_policy(config, build_pool(config)).acquisition
    assert type(acquisition) is WindowInformation
    assert (float(acquisition.low), float(acquisition.high)) == (-0.6, -0.4)


def test_the_wait_for_a_measurement_is_part_of_its_price(tmp_path):
    config = loaded(tmp_path, "seed = 1", "seed = 1\nwaiting_eur_per_hour = 2.0")
    policy = build_policy(config, build_pool(config))
    assert float(policy.acquisition.price_eur) == 300.0 + 24.0 * 2.0
    assert float(policy.waiting_eur_per_hour) == 2.0


def test_the_surrogate_follows_from_the_ladder_unless_it_is_named(tmp_path):
    features = jnp.zeros((24, 2))

    def kind(old, new):
        return type(build_surrogate(loaded(tmp_path, old, new), features))

    assert kind("", "") is RecursiveGP, "exact"
    assert kind("price_eur = 0.5", "price_eur = 50.0") is RecursiveGP, "exact, if dear"
    assert kind("noise_sd = 0.0\n", "noise_sd = 0.01\n") is JointGP, "not exact"
    assert kind("[candidates]", '[model]\nsurrogate = "joint"\n\n[candidates]') is JointGP
    config = loaded(tmp_path, "noise_sd = 0.0\n", "noise_sd = 0.01\n")
    chosen = config.model_copy(update={"model": config.model.model_copy(update={"surrogate": "recursive"})})
    assert type(build_surrogate(chosen, features)) is RecursiveGP
    nonlinear = config.model_copy(update={"model": config.model.model_copy(update={"link": "nonlinear"})})
    assert build_surrogate(nonlinear, features).nonlinear


def test_each_fidelity_may_have_its_own_typical_values(tmp_path):
    config = loaded(tmp_path, "capacity = 8", "capacity = 8\ntypical_value = 1.5\ntypical_spread = 0.2")
    assert config.typical == ([1.5, -0.5], [0.2, 0.4])
    surrogate = build_surrogate(config, jnp.zeros((24, 2)))
    np.testing.assert_allclose(surrogate.prior.typical_value, [1.5, -0.5])
    np.testing.assert_allclose(surrogate.prior.typical_spread, [0.2, 0.4])


def test_the_line_is_that_of_the_right_fidelity(tmp_path):
    text = GOOD.replace("capacity = 2", "capacity = 0")
    assert f":{line_of(text, 'capacity = 0')}:" in refused(tmp_path, text)


def test_several_mistakes_are_told_at_once(tmp_path):
    message = refused(tmp_path, GOOD.replace("seed = 1", "seed = -1").replace("capacity = 8", "capacity = 0"))
    assert "seed = -1" in message
    assert "capacity = 0" in message


@pytest.mark.parametrize(
    "text, said",
    [
        (
            GOOD.replace("[fast.fidelity.low]", "[fast.fidelity.middle]"),
            "[fast.fidelity.middle]: no fidelity has that name",
        ),
        (GOOD.replace("[fast.fidelity.low]\nprice_eur = 0.25", "[fast.fidelity]\nlow = 3"), "must be a table"),
        (GOOD.replace("[fast.fidelity.low]", "[[fast.fidelity]]"), "[fast] must be a table"),
        ("fast = 3\n" + GOOD[: GOOD.index("[fast.campaign]")], "[fast] must be a table"),
        (GOOD.replace("budget_eur = 600.0", "budget_eur = 1.0"), "cannot pay one query of the target"),
        (GOOD.replace("budget_eur = 600.0", "budget = 1.0"), "unknown key 'budget'"),
        (GOOD.replace('name = "low"\n', "", 1), "'name' is missing"),
        (GOOD.replace("[[fidelity]]", "[fidelity]", 1).replace("[[fidelity]]", "[more]"), "fidelity"),
    ],
)
@pytest.mark.parametrize("fast", [False, True])
def test_the_short_form_is_checked_even_when_not_used(tmp_path, text, said, fast):
    assert said in refused(tmp_path, text, fast)


def test_fast_without_a_table_is_refused(tmp_path):
    assert "--fast needs a [fast] table" in refused(tmp_path, GOOD[: GOOD.index("[fast.campaign]")], fast=True)


@pytest.mark.parametrize("text", ["[campaign\n", "a = ", "seed = 1\nseed = 2\n"])
def test_bad_toml_is_refused_with_its_line(tmp_path, text):
    message = refused(tmp_path, text)
    assert "not valid TOML" in message
    assert re.search(r"line \d", message) or "document" in message


def test_a_missing_or_binary_file_is_refused(tmp_path):
    with pytest.raises(CampaignFileError, match=r"cannot be read .* mfal init"):
        load(tmp_path / "absent.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CampaignFileError, match="cannot be read"):
        load(tmp_path / "binary.toml")


def loaded(tmp_path, old, new):
    path = tmp_path / "campaign.toml"
    path.write_text(GOOD.replace(old, new))
    return load(path)


def test_unknown_plugins_are_refused_with_those_that_are_known(tmp_path):
    config = loaded(tmp_path, '"synthetic"', '"nowhere"')
    with pytest.raises(CampaignFileError, match=r"\[candidates\] source = 'nowhere'.*synthetic"):
        build_pool(config)
    config = loaded(tmp_path, 'oracle = "table"\nprice_eur = 300.0', 'oracle = "tabel"\nprice_eur = 300.0')
    with pytest.raises(CampaignFileError, match=r"\[\[fidelity\]\] high.*'tabel'.*table"):
        build_oracles(config, build_pool(config), tmp_path)


def test_a_question_about_the_whole_pool_is_refused(tmp_path):
    with pytest.raises(CampaignFileError, match=r"top = 24 of 24 candidates asks nothing"):
        build_pool(loaded(tmp_path, "top = 3", "top = 24"))


@pytest.mark.parametrize(
    "old, new, said",
    [
        ("limit = 10", 'limit = 10\nexclude = ["LuPt"]', "exclude"),
        ('"LuPt", "HfPt"', '"Xx1Q", "HfPt"', "Xx1Q"),
        ("limit = 10", "limt = 10", "limt"),
    ],
)
def test_unknown_elements_and_candidates_are_refused(tmp_path, old, new, said):
    pytest.importorskip("pymatgen")
    text = Path("examples/intermetallics.toml").read_text()
    assert old in text
    path = tmp_path / "campaign.toml"
    path.write_text(text.replace(old, new))
    with pytest.raises(MfalError, match=said):
        build_pool(load(path, fast=True))


@pytest.mark.parametrize("path", sorted(Path("examples").glob("*.toml")), ids=str)
def test_the_examples_load_in_both_forms(path):
    assert load(path).ladder.target
    assert load(path, fast=True).campaign.budget_eur <= load(path).campaign.budget_eur


def test_the_template_loads_in_both_forms(tmp_path):
    path = tmp_path / "campaign.toml"
    path.write_text(files("mfal.cli").joinpath("campaign.toml").read_text(encoding="utf-8"))
    assert load(path).ladder.names == load(path, fast=True).ladder.names

"""``mfal generate``, in process, with networks that are trained for a second."""

import pytest

from mfal.campaign.config import load
from mfal.campaign.plugins import build_pool
from mfal.cli import main
from mfal.generate import generator as generators
from mfal.generate.diffusion import DiffusionSettings
from mfal.generate.pool import generated
from mfal.generate.training import Schedule
from mfal.generate.vae import VaeSettings
from mfal.space.formula import Formula
from tests.mfal.cli.test_cli import CAMPAIGN

METALS, OTHERS = '["Mo", "W"]', '["S", "Se"]'
CONSTRAINTS = f"""
[constraints]
charge = "balanced"
oxidation_states = {{ Mo = [4], W = [4], S = [-2], Se = [-2] }}
[[constraints.ratio]]
of = {METALS}
to = {OTHERS}
amounts = [1, 2]
"""


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    schedule = Schedule(steps=100, batch=16)
    monkeypatch.setattr(generators, "VaeSettings", lambda: VaeSettings(latent=2, hidden=8, schedule=schedule))
    monkeypatch.setattr(generators, "DiffusionSettings", lambda: DiffusionSettings(10, 8, 0.02, schedule))


@pytest.fixture
def corpus(tmp_path):
    file = tmp_path / "corpus.txt"
    formulas = [f"Mo{a}W{4 - a}S{2 * b}Se{8 - 2 * b}" for a in range(5) for b in range(5)]
    file.write_text("\n".join(formulas), encoding="utf-8")
    return file


@pytest.fixture
def campaign(tmp_path):
    file = tmp_path / "campaign.toml"
    file.write_text(CAMPAIGN + CONSTRAINTS, encoding="utf-8")
    return file


@pytest.mark.parametrize("method", ["vae", "diffusion"])
def test_formulas_are_written_and_admitted(corpus, campaign, tmp_path, capsys, method):
    output = tmp_path / "formulas.txt"
    arguments = ["generate", str(corpus), "--campaign", str(campaign), "--count", "15", "--method", method]
    assert main([*arguments, "--output", str(output)]) == 0
    assert "15 new formulas of" in capsys.readouterr().err
    formulas = output.read_text(encoding="utf-8").split()
    assert len(set(formulas)) == 15
    for formula in formulas:
        amounts = Formula.parse(formula).amounts
        metals = sum(amounts.get(symbol, 0.0) for symbol in ("Mo", "W"))
        assert metals * 3 == sum(amounts.values())
    # The command that admits must agree with the one that proposes.
    assert main(["check", str(output), "--campaign", str(campaign)]) == 0


def test_the_seed_fixes_what_is_printed(corpus, capsys):
    printed = []
    for seed in ("1", "1", "2"):
        assert main(["generate", str(corpus), "--count", "5", "--seed", seed]) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1] != printed[2]


def test_what_of_the_corpus_is_refused_is_said(corpus, campaign, capsys):
    corpus.write_text(corpus.read_text(encoding="utf-8") + "\nMoS3\n", encoding="utf-8")
    assert main(["generate", str(corpus), "--campaign", str(campaign), "--count", "5"]) == 0
    assert "1 formulas of the corpus are left out, MoS3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("MoS2\nXxS2\n", "corpus.txt:2: "),
        ("MoS2\nWS-2\n", "corpus.txt:2: "),
        ("", "holds no formula"),
        ("MoS3\nWS3\n", "refuse all 2 formulas, MoS3 because"),
    ],
)
def test_a_bad_corpus_is_refused(corpus, campaign, capsys, text, told):
    corpus.write_text(text, encoding="utf-8")
    assert main(["generate", str(corpus), "--campaign", str(campaign)]) == 1
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [["--count", "0"], ["--seed", "-1"], ["--atoms", "0"], ["--stability", "none.csv"]])
def test_impossible_requests_are_refused(corpus, capsys, wrong):
    assert main(["generate", str(corpus), *wrong]) == 1
    assert capsys.readouterr().err.startswith("mfal: ")


def test_a_place_that_cannot_be_written_is_named(corpus, tmp_path, capsys):
    assert main(["generate", str(corpus), "--count", "1", "--output", str(tmp_path / "no" / "file")]) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_a_campaign_names_the_pool_and_checks_it(corpus, campaign, monkeypatch):
    """The pool keeps the ratio; the bound on molybdenum it is not told, and the campaign's constraints hold it."""
    pytest.importorskip("pymatgen")
    monkeypatch.setattr("mfal.campaign.plugins.load_plugin", lambda group, name: generated)
    ratio = f"{{ of = {METALS}, to = {OTHERS}, amounts = [1, 2] }}"
    source = f'source = "generated"\noptions = {{ corpus = "{corpus}", count = 40, seed = 0, ratio = {ratio} }}'
    bound = '[[constraints.fraction]]\nof = ["Mo"]\nat_least = 0.15\n'
    campaign.write_text((CAMPAIGN + CONSTRAINTS + bound).replace('source = "synthetic"', source), encoding="utf-8")
    config = load(campaign)
    pool = build_pool(config)
    assert 3 < len(pool) < len(generated(config.candidates.options)) == 40
    assert all(Formula.parse(name).fractions(("Mo", "W", "S", "Se"))[0] >= 0.15 for name in pool.ids)

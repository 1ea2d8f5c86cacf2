import jax
import numpy as np
import pytest

from mfal.errors import CampaignFileError, GenerationError
from mfal.generate import generator as generators
from mfal.generate.corpus import Corpus
from mfal.generate.generator import Generator, SiteRatio
from mfal.generate.pool import generated
from mfal.generate.proposals import propose
from mfal.generate.training import Schedule
from mfal.generate.vae import VaeSettings
from mfal.space.formula import Formula

CORPUS = Corpus.of([f"Mo{a}W{4 - a}S{2 * b}Se{8 - 2 * b}" for a in range(1, 4) for b in range(1, 4)])


@pytest.fixture
def quick(monkeypatch):
    """Train for a second: what comes out has to be right, not good."""
    short = VaeSettings(latent=2, hidden=8, schedule=Schedule(steps=100, batch=16))
    monkeypatch.setattr(generators, "VaeSettings", lambda: short)


def _uniform(count, key):
    return np.asarray(jax.random.dirichlet(key, np.ones(4), (count,)))


def _rounding(ratio=None):
    return Generator(CORPUS, ratio=ratio, atoms=9).round


def test_proposals_are_integer_new_and_each_once():
    found = propose(_uniform, _rounding(), lambda _: {}, CORPUS, 60, jax.random.key(0))
    formulas = [Formula.parse(text) for text in found.formulas]
    assert len(found.formulas) == len(set(found.formulas)) == 60
    assert all(formula.atoms == round(formula.atoms) <= 9 for formula in formulas)
    assert not any(formula in CORPUS for formula in formulas)
    shares = {tuple(np.round(formula.fractions(CORPUS.elements), 9)) for formula in formulas}
    assert len(shares) == 60


def test_what_the_constraints_refuse_is_not_proposed():
    asked = []

    def refused(formulas):
        asked.extend(formulas)
        return {text: "holds W" for text in formulas if "W" in text}

    found = propose(_uniform, _rounding(), refused, CORPUS, 20, jax.random.key(0))
    assert not any("W" in text for text in found.formulas)
    assert len(asked) == len(set(asked)) >= 20 + found.refused
    assert found.refused > 0


def test_everything_drawn_is_accounted_for():
    ratio = SiteRatio.of(CORPUS, ["Mo", "W"], ["S", "Se"], (1, 2))
    asked = []
    refused = lambda formulas: asked.extend(formulas) or {}  # noqa: E731
    found = propose(_uniform, _rounding(ratio), refused, CORPUS, 90, jax.random.key(0))
    # With 9 atoms at most there are few formulas of this ratio: drawing ends although more were wanted.
    assert found.drawn == found.repeated + found.known + found.refused + len(found.formulas)
    assert len(asked) == len(found.formulas) < 90
    for text in found.formulas:
        share = Formula.parse(text).fractions(CORPUS.elements)
        np.testing.assert_allclose(share[np.isin(CORPUS.elements, ["Mo", "W"])].sum(), 1 / 3, atol=1e-15)


def test_nothing_admitted_says_why():
    with pytest.raises(GenerationError, match="contains sulphur"):
        propose(_uniform, _rounding(), lambda f: dict.fromkeys(f, "contains sulphur"), CORPUS, 1, jax.random.key(0))


def test_nothing_new_says_so():
    constant = lambda count, key: np.tile(CORPUS.fractions[:1], (count, 1))  # noqa: E731
    with pytest.raises(GenerationError, match="larger formulas"):
        propose(constant, Generator(CORPUS, atoms=24).round, lambda _: {}, CORPUS, 1, jax.random.key(0))
    with pytest.raises(GenerationError, match="count=0"):
        propose(constant, _rounding(), lambda _: {}, CORPUS, 0, jax.random.key(0))


@pytest.mark.parametrize(
    ("of", "to", "told"),
    [
        (["Mo"], ["S", "Se"], "loose=.*W"),
        (["Mo", "W", "S"], ["S", "Se"], "loose=.*S"),
        (["Mo", "W", "S", "Se"], ["O"], "each of"),
    ],
)
def test_a_ratio_names_each_element_once(of, to, told):
    with pytest.raises(GenerationError, match=told):
        SiteRatio.of(CORPUS, of, to, (1, 2))


def test_a_corpus_of_another_ratio_is_refused():
    with pytest.raises(GenerationError, match=r"has not the ratio 1 : 3"):
        SiteRatio.of(CORPUS, ["Mo", "W"], ["S", "Se"], (1, 3))


def test_impossible_generators_are_refused():
    with pytest.raises(GenerationError, match="one composition"):
        Generator(Corpus.of(["Fe2"]))
    with pytest.raises(GenerationError, match="atoms=2"):
        Generator(CORPUS, ratio=SiteRatio.of(CORPUS, ["Mo", "W"], ["S", "Se"], (1, 2)), atoms=2)


@pytest.fixture
def options(tmp_path):
    (tmp_path / "corpus.txt").write_text("\n".join(CORPUS.formulas), encoding="utf-8")
    ratio = {"of": ["Mo", "W"], "to": ["S", "Se"], "amounts": [1, 2]}
    return {"corpus": str(tmp_path / "corpus.txt"), "count": 12, "seed": 3, "ratio": ratio}


def test_the_pool_holds_what_is_proposed(quick, options):
    pytest.importorskip("pymatgen")
    pool = generated(options)
    assert len(pool) == 12
    assert pool.descriptors.shape == (12, 10)
    for name in pool.ids:
        metals = Formula.parse(pool.payload[name]["formula"]).fractions(CORPUS.elements)[:2].sum()
        np.testing.assert_allclose(metals, 1 / 3, atol=1e-15)
    assert list(generated(options).ids) == list(pool.ids)
    assert list(generated({**options, "seed": 4}).ids) != list(pool.ids)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"colour": 1}, "colour"),
        ({"count": "12"}, "count='12'"),
        ({"count": True}, "count=True"),
        ({"count": 0}, "count=0"),
        ({"seed": -1}, "seed=-1"),
        ({"method": "gan"}, "method='gan'"),
        ({"ratio": {"of": ["Mo"]}}, "two amounts"),
        ({"ratio": {"of": ["Mo", "W"], "to": ["S", "Se"], "amounts": [1.0, 2.0]}}, "whole numbers"),
    ],
)
def test_bad_options_are_refused(options, change, told):
    with pytest.raises(CampaignFileError, match=told):
        generated({**options, **change})


@pytest.mark.parametrize("name", ["corpus", "count", "seed"])
def test_a_missing_option_is_named(options, name):
    del options[name]
    with pytest.raises(CampaignFileError, match=name):
        generated(options)

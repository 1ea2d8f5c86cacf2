import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mfal.errors import GenerationError
from mfal.generate import generator as generators
from mfal.generate import stability_table
from mfal.generate.corpus import Corpus
from mfal.generate.diffusion import DiffusionSettings
from mfal.generate.feasibility import ClassifierSettings
from mfal.generate.generator import Generator
from mfal.generate.stability_table import read_stability
from mfal.generate.training import Schedule
from mfal.generate.vae import VaeSettings

pytest.importorskip("pymatgen")

HEADER = "formula,energy_above_hull_ev_per_atom\n"
# Sulphides are stable here, and selenides are not.
LINES = [f"{m}{a}{x}{b},{0.0 if x == 'S' else 0.3}" for m in ("Mo", "W", "Ti") for x in ("S", "Se")
         for a in (1, 2) for b in (1, 2, 3)]  # fmt: skip


@pytest.fixture
def table(tmp_path):
    file = tmp_path / "stability.csv"
    file.write_text(HEADER + "\n".join(LINES), encoding="utf-8")
    return file


def test_a_table_is_read(table):
    found = read_stability(table)
    assert found.elements == ("S", "Ti", "Se", "Mo", "W")
    assert found.fractions.shape == (36, 5)
    np.testing.assert_allclose(found.fractions.sum(axis=1), 1.0)
    assert found.stable.sum() == 18


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("formula,energy\nMoS2,0.0\n", r"csv:1: missing=.*energy_above_hull"),
        (HEADER + "MoS2,0.0\nXxS2,0.1\n", r"csv:3: .*Xx"),
        (HEADER + "Mo-1S2,0.1\n", r"csv:2: "),
        (HEADER + "MoS2,low\n", r"csv:2: .*low"),
        (HEADER + "MoS2,nan\n", r"csv:2: .*nan"),
        (HEADER + "MoS2\n", r"csv:2: "),
        (HEADER, "holds no compound"),
    ],
)
def test_bad_tables_are_refused_with_file_and_line(table, text, told):
    table.write_text(text, encoding="utf-8")
    with pytest.raises(GenerationError, match=told):
        read_stability(table)


def test_no_table_is_refused(tmp_path):
    with pytest.raises(GenerationError, match="cannot be read"):
        read_stability(tmp_path / "none.csv")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["vae", "diffusion"])
def test_either_method_is_steered(table, method, monkeypatch):
    """Of a corpus with as many sulphides as selenides, sulphides are generated."""
    schedule = Schedule(steps=1500, batch=64, learning_rate=3e-3)
    monkeypatch.setattr(stability_table, "ClassifierSettings", lambda: ClassifierSettings(2, 16, 1e-4, schedule))
    monkeypatch.setattr(generators, "VaeSettings", lambda: VaeSettings(2, 16, 0.05, schedule))
    monkeypatch.setattr(generators, "DiffusionSettings", lambda: DiffusionSettings(30, 32, 0.02, schedule))
    corpus = Corpus.of([line.partition(",")[0] for line in LINES])
    guide = read_stability(table).classifier(jax.random.key(0)).on(corpus.elements)
    sulphur, selenium = (corpus.elements.index(symbol) for symbol in ("S", "Se"))
    shares = {}
    for name, used in (("plain", None), ("guided", guide)):
        x = Generator(corpus, method, guide=used, strength=2.0).train(jax.random.key(1))(600, jax.random.key(2))
        np.testing.assert_allclose(x.sum(axis=1), 1.0, atol=1e-14)
        shares[name] = float((x[:, sulphur] > x[:, selenium]).mean())
        if used is not None:
            assert float((used.probability(jnp.asarray(x)) > 0.49).mean()) > 0.8
    assert 0.3 < shares["plain"] < 0.7
    assert shares["guided"] > 0.8


def test_a_guide_for_other_elements_is_refused(table, monkeypatch):
    monkeypatch.setattr(stability_table, "ClassifierSettings", lambda: ClassifierSettings(1, 4, 0.0, Schedule(steps=2)))
    guide = read_stability(table).classifier(jax.random.key(0))
    with pytest.raises(GenerationError, match=r"use guide.on"):
        Generator(Corpus.of(["NaCl", "Na2S"]), guide=guide)

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mfal.errors import GenerationError
from mfal.generate.element_properties import NAMES, element_properties, statistics
from mfal.generate.feasibility import ClassifierSettings, train_classifier
from mfal.generate.training import Schedule

pytest.importorskip("pymatgen")

METALS, OTHERS = ("Li", "Na", "K", "Mg", "Ca", "Sr", "Al", "Ga"), ("O", "S", "F", "Cl")
ELEMENTS = METALS + OTHERS
CHARGE = dict(zip(ELEMENTS, (1, 1, 1, 2, 2, 2, 3, 3, -2, -2, -1, -1), strict=True))
SHORT = ClassifierSettings(members=3, hidden=24, schedule=Schedule(steps=1500, batch=128, learning_rate=5e-3))


def _compounds(metals, others):
    """Return binaries and whether they are neutral, which is the rule to be learnt."""
    rows, neutral = [], []
    for metal in metals:
        for other in others:
            for m, x in ((1, 1), (1, 2), (2, 1), (1, 3), (3, 1), (2, 3), (3, 2)):
                row = np.zeros(len(ELEMENTS))
                row[ELEMENTS.index(metal)], row[ELEMENTS.index(other)] = m / (m + x), x / (m + x)
                rows.append(row)
                neutral.append(m * CHARGE[metal] + x * CHARGE[other] == 0)
    return np.array(rows), np.array(neutral)


@pytest.fixture(scope="module")
def trained():
    return train_classifier(ELEMENTS, *_compounds(METALS, OTHERS), SHORT, jax.random.key(0))


def test_statistics_are_those_of_atoms():
    """Against NumPy on a list of atoms, SrTiO3 written out."""
    properties = element_properties(("Sr", "Ti", "O"))
    x = np.array([[0.2, 0.2, 0.6]])
    atoms = np.repeat(properties, [1, 1, 3], axis=0)
    mean = atoms.mean(axis=0)
    expected = [*mean, *np.abs(atoms - mean).mean(axis=0), *((atoms - mean) ** 3).mean(axis=0), 0.44]
    np.testing.assert_allclose(statistics(jnp.asarray(x), jnp.asarray(properties))[0], expected, rtol=1e-12, atol=1e-12)


def test_tabulated_properties():
    row = dict(zip(NAMES, element_properties(("Fe",))[0], strict=True))
    assert (row["group"], row["row"], row["s electrons"], row["d electrons"]) == (8, 4, 2, 6)
    assert (row["lowest state"], row["highest state"]) == (2, 3)
    assert abs(row["electronegativity"] - 1.83) < 1e-9
    row = dict(zip(NAMES, element_properties(("Se",))[0], strict=True))
    assert (row["s electrons"], row["p electrons"], row["d electrons"]) == (2, 4, 0)


def test_the_rule_is_learnt(trained):
    x, neutral = _compounds(METALS, OTHERS)
    probability = np.asarray(trained.probability(jnp.asarray(x)))
    assert probability[neutral].min() > 0.5 > probability[~neutral].max()


def test_the_rule_holds_for_elements_never_seen():
    """AUROC by its definition over pairs, for compounds of K and S, which were both held out: better than chance."""
    kept = [metal for metal in METALS if metal != "K"], [other for other in OTHERS if other != "S"]
    classifier = train_classifier(ELEMENTS, *_compounds(*kept), SHORT, jax.random.key(1))
    scores, neutral = [], []
    for group in ((["K"], OTHERS), (METALS, ["S"])):
        x, right = _compounds(*group)
        scores.append(np.asarray(classifier.logit(jnp.asarray(x))))
        neutral.append(right)
    score, right = np.concatenate(scores), np.concatenate(neutral)
    assert np.mean(score[right][:, None] > score[~right]) > 0.9


def test_other_elements_can_be_asked_about(trained):
    fewer = trained.on(("Na", "Cl"))
    x = np.zeros((1, len(ELEMENTS)))
    x[0, ELEMENTS.index("Na")] = x[0, ELEMENTS.index("Cl")] = 0.5
    np.testing.assert_allclose(fewer.logit(jnp.array([[0.5, 0.5]])), trained.logit(jnp.asarray(x)), rtol=1e-10)
    assert trained.on(("Rb", "Br")).probability(jnp.array([[0.5, 0.5]]))[0] > 0.5


def test_the_gradient_on_the_simplex_is_a_finite_difference(trained):
    x = jnp.asarray(np.random.default_rng(0).dirichlet(np.ones(len(ELEMENTS))))[None]
    towards = jnp.zeros_like(x).at[0, 1].set(1.0) - x
    value = lambda h: trained.logit(x + h * towards)[0]  # noqa: E731
    np.testing.assert_allclose(jax.grad(value)(0.0), (value(1e-6) - value(-1e-6)) / 2e-6, rtol=1e-5)


def test_compounds_of_one_kind_teach_nothing():
    x, _ = _compounds(METALS[:2], OTHERS[:2])
    with pytest.raises(GenerationError, match="one kind"):
        train_classifier(ELEMENTS, x, np.ones(len(x), bool), SHORT, jax.random.key(0))


def test_an_element_without_a_value_is_refused():
    with pytest.raises(GenerationError, match=r"He.*electronegativity"):
        element_properties(("He",))


@pytest.mark.parametrize("wrong", [{"members": 0}, {"hidden": 0}, {"decay": -1.0}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(GenerationError):
        ClassifierSettings(**wrong)

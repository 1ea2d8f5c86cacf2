import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from mfal.constraints.stability import HullEnergy, probability_stable, stability_verdict
from mfal.constraints.verdict import Outcome, Verdict
from mfal.errors import ConstraintError


@pytest.mark.parametrize(
    ("value", "sd", "outcome"),
    [
        (0.00, 0.01, Outcome.ADMITS),
        (0.20, 0.03, Outcome.REFUSES),
        (0.06, 0.03, Outcome.CANNOT_TELL),
        (0.00, 0.30, Outcome.CANNOT_TELL),
        (0.05, 0.00, Outcome.ADMITS),
        (0.051, 0.00, Outcome.REFUSES),
        (-0.10, 0.03, Outcome.ADMITS),
    ],
)
def test_the_uncertainty_of_the_source_decides_with_the_value(value, sd, outcome):
    verdict = stability_verdict(HullEnergy(value, sd, "chgnet"), 0.05)
    assert verdict.outcome is outcome
    assert verdict.reasons[0].startswith("chgnet: ")


def test_admitted_compounds_are_stable_as_often_as_was_asked():
    # 20 000 true energies from a flat prior, measured with a normal error; rejected beyond five standard errors.
    random = np.random.default_rng(0)
    truth = random.uniform(-0.5, 0.5, 20_000)
    measured = truth + 0.05 * random.normal(size=20_000)
    chance = np.array([probability_stable(HullEnergy(float(v), 0.05, "made up"), 0.05) for v in measured])
    chosen = np.abs(chance - 0.8) < 0.15
    assert abs((truth[chosen] <= 0.05).mean() - chance[chosen].mean()) < 5 * 0.5 / np.sqrt(chosen.sum())


@settings(deadline=None)
@given(st.floats(-1, 1), st.floats(1e-3, 1.0), st.floats(-0.1, 0.3))
def test_probabilities_are_those_of_a_normal_error(value, sd, tolerance):
    found = probability_stable(HullEnergy(value, sd, "pbe"), tolerance)
    assert found == pytest.approx(norm.cdf(tolerance, value, sd), abs=1e-12)


@pytest.mark.parametrize(
    ("build", "complaint"),
    [
        (lambda: HullEnergy(float("nan"), 0.1, "pbe"), "not finite"),
        (lambda: HullEnergy(0.1, -0.1, "pbe"), "not negative"),
        (lambda: HullEnergy(0.1, float("nan"), "pbe"), "not negative"),
        (lambda: HullEnergy(0.1, 0.1, ""), "no level"),
        (lambda: stability_verdict(HullEnergy(0.1, 0.1, "pbe"), float("nan")), "no tolerance"),
        (lambda: stability_verdict(HullEnergy(0.1, 0.1, "pbe"), 0.05, 0.4), "decides nothing"),
    ],
)
def test_what_decides_nothing_is_refused(build, complaint):
    with pytest.raises(ConstraintError, match=complaint):
        build()


def test_a_refusal_outweighs_a_doubt():
    assert Verdict.of(["a"], ["b"]) == Verdict(Outcome.REFUSES, ("a", "b"))
    assert Verdict.of([], ["b"]).outcome is Outcome.CANNOT_TELL
    assert Verdict.of([]).admits

"""What waits for a person, and that nobody else says anything of novelty."""

import ast
import math
from pathlib import Path

import pytest
from scipy.stats import norm

import mfal
from mfal.errors import ReviewError
from mfal.laboratory.review import OBVIOUS, entropy_bits, wrong_probability
from mfal.laboratory.sign import Decision, review, sign
from mfal.laboratory.tell import tell
from mfal.laboratory.told import LABORATORY, read_told
from mfal.ledger import read_events, verify
from mfal.report.reading import read_campaign
from tests.mfal.laboratory import door


@pytest.fixture
def campaign(tmp_path):
    return door.prepared(tmp_path / "campaign")


def told(campaign, **values: float | dict) -> dict[str, str]:
    names = door.ids(campaign)
    rows = [
        {**door.row(names[one]), **(value if isinstance(value, dict) else {"value": value})}
        for one, value in values.items()
    ]
    tell(campaign, door.document(*rows), "json", "a.json", False)
    return names


@pytest.mark.parametrize("deviation", [0.0, 1.0, 2.5, 4.0, 8.0])
def test_the_probability_of_a_wrong_result_is_bayes_rule(deviation):
    wrong, sound = 0.05 * norm.pdf(deviation, scale=5.0), 0.95 * norm.pdf(deviation)
    assert wrong_probability(deviation) == pytest.approx(wrong / (wrong + sound), rel=1e-12)


def test_certainty_has_no_entropy():
    assert entropy_bits(0.5) == 1.0
    assert entropy_bits(0.0) == entropy_bits(1.0) == 0.0
    assert wrong_probability(math.inf) == 1.0


def test_the_report_reads_the_same_queue(campaign):
    told(campaign, AlNi=door.MEANS["AlNi"] + 0.3)
    assert read_campaign(campaign).waiting == review(campaign).waiting != ()


def test_the_least_certain_waits_first(campaign):
    spread = math.hypot(0.1, 0.04)
    values = {
        one: door.MEANS[one] + spread * z for one, z in (("AlCo", 0.5), ("AlNi", 2.6), ("TiNi", 3.1), ("ZrPd", 6.0))
    }
    names = told(campaign, **values)
    found = review(campaign)
    assert [item.id for item in found.waiting] == [names[one] for one in ("TiNi", "AlNi", "ZrPd")]
    assert {item.kind for item in found.waiting} == {"outlier"}
    bits = [item.uncertainty_bits for item in found.waiting]
    assert bits == sorted(bits, reverse=True)
    assert "wrong with probability" in found.waiting[0].reason


def test_the_obvious_is_decided_automatically_and_said_so(campaign):
    told(campaign, AlCo=door.MEANS["AlCo"] + 0.05, AlNi={"value": None, "unit": None, "failure": "crucible broke"})
    found = review(campaign)
    assert found.waiting == ()
    assert [one.decided for one in found.results] == ["automatically"] * 2
    assert found.results[0].reason == f"0.5 deviations from the prediction: wrong with probability {0.01:.2f}"
    assert found.results[1].reason == "a failure: crucible broke"
    assert wrong_probability(0.5) < OBVIOUS


def test_a_value_after_a_failed_step_waits(campaign):
    told(campaign, AlCo={"value": door.MEANS["AlCo"], "steps": {"weighed": True, "melted": False}})
    (item,) = review(campaign).waiting
    assert (item.kind, item.reason) == ("step", "there is a value although the steps ['melted'] failed")
    assert not review(campaign).results[0].workflow_success


def test_exchanged_samples_are_suspected(campaign):
    names = told(campaign, AlNi=door.MEANS["TiNi"] + 0.02, TiNi=door.MEANS["AlNi"] - 0.02)
    waiting = {item.id: item for item in review(campaign).waiting}
    assert {item.kind for item in waiting.values()} == {"exchanged"}
    assert f"exchanged with {names['TiNi']} both would be as predicted" in waiting[names["AlNi"]].reason


def test_two_outliers_are_no_exchange(campaign):
    told(campaign, AlNi=door.MEANS["AlNi"] - 0.3, TiNi=door.MEANS["TiNi"] + 0.3)
    assert {item.kind for item in review(campaign).waiting} == {"outlier"}


def test_a_signature_settles_an_item_until_it_is_corrected(campaign):
    names = told(campaign, AlCo=0.5)
    signature = sign(campaign, Decision(names["AlCo"], True, "Ana", "measured twice", None))
    assert "wrong with probability" in signature.evidence
    found = review(campaign)
    assert found.waiting == ()
    assert (found.results[0].decided, found.results[0].reason) == ("Ana", "accepted: measured twice")
    row = door.row(names["AlCo"], 0.6, correction="third measurement")
    tell(campaign, door.document(row), "json", "b.json", False)
    assert [item.id for item in review(campaign).waiting] == [names["AlCo"]]


def test_signatures_are_in_the_hash_chain(campaign):
    names = told(campaign, AlCo=-0.5)
    sign(campaign, Decision(names["AlCo"], True, "Ana", "new phase in the pattern", True))
    assert verify(campaign / LABORATORY).sealed == "matches"
    last = read_events(campaign / LABORATORY)[-1]
    assert (last.kind, last.payload["by"], last.payload["scientific_novelty"]) == ("signature", "Ana", True)


REFUSED = [
    (Decision("ID", True, " ", "why", None), "a person signs with a name and a reason"),
    (Decision("ID", True, "Ana", "", None), "a person signs with a name and a reason"),
    (Decision("nothing", True, "Ana", "why", None), "neither waits nor has a result"),
    (Decision("ID", False, "Ana", "why", True), "only an accepted result can be called novel"),
]


@pytest.mark.parametrize(("decision", "message"), REFUSED, ids=["nobody", "no reason", "unknown", "rejected"])
def test_what_cannot_be_signed_is_refused(campaign, decision, message):
    names = told(campaign, AlCo=-0.5)
    wanted = Decision(**{**vars(decision), "item": decision.item.replace("ID", names["AlCo"])})
    before = (campaign / LABORATORY).read_bytes()
    with pytest.raises(ReviewError, match=message):
        sign(campaign, wanted)
    assert (campaign / LABORATORY).read_bytes() == before


def test_success_and_novelty_are_separate(campaign):
    names = told(campaign, AlCo=-0.5, AlNi={"value": -0.6, "steps": {"melted": False}})
    assert [one.scientific_novelty for one in review(campaign).results] == [None, None]
    sign(campaign, Decision(names["AlNi"], True, "Ana", "a second phase", True))
    sign(campaign, Decision(names["AlCo"], True, "Ana", "known since 1937", False))
    found = {one.id: (one.workflow_success, one.scientific_novelty) for one in review(campaign).results}
    assert found == {names["AlCo"]: (True, False), names["AlNi"]: (False, True)}
    sign(campaign, Decision(names["AlNi"], True, "Ben", "looked at it again", None))
    assert read_told(campaign).novelty(names["AlNi"]).by == "Ana", "a signature that says nothing changes nothing"


def test_only_the_signature_writes_a_signature():
    """Every mention of the field, of the kind of event and of the function in the code: one writes, the others read."""
    found = {name: set() for name in ("scientific_novelty", "SIGNATURE", "mfal.laboratory.sign")}
    root = Path(mfal.__file__).parent
    for file in root.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            text = {ast.Attribute: "attr", ast.Name: "id", ast.Constant: "value", ast.ImportFrom: "module"}
            mentioned = getattr(node, text.get(type(node), ""), None)
            if mentioned in found:
                found[mentioned].add(str(file.relative_to(root)))
    assert found["SIGNATURE"] == {"ledger/event.py", "laboratory/sign.py", "laboratory/told.py"}
    assert found["mfal.laboratory.sign"] == {"cli/review.py"}
    readers = {"laboratory/told.py", "laboratory/review.py", "cli/review.py"}
    assert found["scientific_novelty"] == {"laboratory/sign.py", *readers}

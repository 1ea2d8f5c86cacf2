"""The last check before an oracle: structures and stabilities that are known only on the way."""

import numpy as np
import pytest

from mfal.campaign.constraints import ConstraintsSection
from mfal.campaign.door import refused_queries
from mfal.campaign.loop import Campaign
from mfal.ledger.event import EventKind
from mfal.ledger.store import read_events
from mfal.oracle import Query
from mfal.space.pool import Pool
from tests import synthetic

pytest.importorskip("pymatgen")
SALT = synthetic.salt(5.64)
POOL = Pool(["NaCl", "KCl"], np.zeros((2, 1)), ["x"])


def refused(details, formula="NaCl", **content):
    section = ConstraintsSection.model_validate(content)
    query = Query(formula, "gpaw", 1.0, {"chgnet": details})
    found = refused_queries(section, POOL, [query])
    assert all(one.price_eur == 0.0 and one.value is None and one.key == query.key for one in found)
    return found[0].failure if found else ""


def test_a_structure_has_room_density_and_the_symmetry_that_is_stated():
    assert refused({"structure": SALT}, structure={}) == ""
    assert "apart" in refused({"structure": synthetic.salt(2.8)}, structure={})
    assert refused({"structure": synthetic.salt(2.8)}) == ""
    assert "density" in refused({"structure": SALT}, structure={"density_g_cm3": [3.0, 20.0]})
    stated = {"structure": SALT, "space_group": 225}
    assert refused(stated, structure={"symmetry_tolerance_a": 0.01}) == ""
    wrong = refused({**stated, "space_group": 221}, structure={"symmetry_tolerance_a": 0.01})
    assert "221 is stated, 225" in wrong and wrong.startswith("[constraints] chgnet:")
    assert refused({**stated, "space_group": 221}, structure={}) == ""


@pytest.mark.parametrize("broken", [{}, {**SALT, "numbers": [999] * 8}, {**SALT, "cell": [[0.0] * 3] * 3}])
def test_a_structure_that_is_none_is_refused(broken):
    assert refused({"structure": broken}, structure={})


def test_only_who_is_surely_too_far_above_the_hull_is_refused():
    limits = {"tolerance_ev_per_atom": 0.1, "error_ev_per_atom": {"chgnet": 0.05}}
    for above, words in ((0.0, ""), (0.15, ""), (0.2, "above the hull")):
        assert words in refused({"energy_above_hull_ev_per_atom": above}, stability=limits)
        assert bool(words) == bool(refused({"energy_above_hull_ev_per_atom": above}, stability=limits))
    other = {**limits, "error_ev_per_atom": {"pbe": 0.0}}
    assert refused({"energy_above_hull_ev_per_atom": 9.0}, stability=other) == ""


def test_compositions_are_checked_again():
    assert "are not among elements" in refused({}, "KCl", elements=["Na", "Cl"])


def test_in_a_campaign_an_impossible_structure_costs_nothing_more(tmp_path):
    """Every third candidate's atoms overlap: none reaches a dearer oracle, and no oracle is given up for it."""
    synthetic.register()
    campaign = Campaign.start(synthetic.structured(structure={}), tmp_path / "campaign")
    progress = campaign.run(lambda _: None)
    campaign.close()
    events = read_events(tmp_path / "campaign")
    answers = [event.payload for event in events if event.kind == EventKind.OBSERVATION]
    impossible = {name for name in campaign.rules.pool.ids if campaign.rules.pool.index(name) % 3 == 0}
    late = [answer for answer in answers if answer["failure"] is not None]
    assert late and {answer["candidate"] for answer in late} <= impossible
    assert all(answer["price_eur"] == 0.0 and "[constraints]" in answer["failure"] for answer in late)
    assert progress.stopped and not campaign.warnings
    worked = (tmp_path / "campaign" / "worked.jsonl").read_text().split()
    assert not {f'"{answer["fidelity"]}:{answer["candidate"]}"' for answer in late} & set(worked)
    again = Campaign.resume(tmp_path / "campaign")
    assert again.progress.stopped == progress.stopped
    again.close()

"""Kill -9 at random moments: the same queries, the same decisions, nothing paid twice."""

import pytest

from tests import kill_driver


@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_a_killed_campaign_is_the_undisturbed_one(tmp_path, kills):
    found = kill_driver.compare(tmp_path, kills=kills, seed=0)
    assert found["kills_survived"] == kills, "every kill hit a running campaign"
    assert found["resumes"] >= kills / 2, "most kills came after the campaign had begun"
    assert found["queries"] > 24
    assert {name: value for name, value in found.items() if name.startswith("same_") and not value} == {}
    assert found["paid_twice"] == 0
    assert found["worked_twice"] == 0

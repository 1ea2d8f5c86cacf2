"""Kill -9 at ten random moments: the same queries, the same decisions, nothing paid twice."""

from tests import kill_driver


def test_a_campaign_killed_ten_times_is_the_undisturbed_one(tmp_path):
    found = kill_driver.compare(tmp_path, kills=10, seed=0)
    assert found["kills_survived"] == 10, "every kill hit a running campaign"
    assert found["resumes"] >= 5, "most kills came after the campaign had begun"
    assert found["queries"] > 24
    assert {name: value for name, value in found.items() if name.startswith("same_") and not value} == {}
    assert found["paid_twice"] == 0
    assert found["worked_twice"] == 0

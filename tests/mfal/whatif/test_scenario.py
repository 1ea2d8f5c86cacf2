"""Scenarios change what they say, and nothing else; what cannot be simulated is refused by name."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mfal.acquisition.base import AbstractAcquisition, Worth
from mfal.campaign.build import build_rules
from mfal.dataset import FAILED
from mfal.errors import StudyError
from mfal.whatif import scenario
from mfal.whatif.setting import refuse_without_target
from mfal.whatif.simulate import first_moment
from mfal.whatif.study import refuse
from tests import synthetic


@pytest.fixture(scope="module")
def rules():
    return build_rules(synthetic.config(waiting_eur_per_hour=2.0))


def changed(policy, other):
    """Return the names of the leaves that differ; the shapes may not."""
    assert jax.tree.structure(policy) == jax.tree.structure(other)
    pairs = zip(jax.tree_util.tree_leaves_with_path(policy), jax.tree.leaves(other), strict=True)
    return {jax.tree_util.keystr(path) for (path, was), now in pairs if not np.array_equal(was, now)}


def test_a_scenario_changes_one_thing(rules):
    policy = rules.policy
    assert changed(policy, scenario.with_budget(policy, 5.0)) == {".budget_eur"}
    assert changed(policy, scenario.with_price(policy, 1, 7.0)) == {".price_eur"}
    assert changed(policy, scenario.with_latency(policy, 1, 7.0)) == {".latency_hours"}
    assert changed(policy, scenario.with_capacity(policy, 1, 5)) == {".capacity"}
    assert changed(policy, scenario.with_limit(policy, 1, 5)) == {".limit"}
    assert changed(policy, scenario.never_content(policy)) == {".acquisition.value_of_hit_eur"}


def test_the_acquisition_knows_what_a_measurement_costs(rules):
    """As `build_acquisition` has it: the price, and the wait."""
    dearer = scenario.with_price(rules.policy, 2, 700.0)
    assert float(dearer.acquisition.price_eur) == 700.0 + 2.0 * 120.0
    sooner = scenario.with_latency(rules.policy, 2, 60.0)
    assert float(sooner.acquisition.price_eur) == 300.0 + 2.0 * 60.0
    assert float(scenario.with_price(rules.policy, 0, 5.0).acquisition.price_eur) == 300.0 + 2.0 * 120.0


def test_the_target_alone_is_not_forbidden_by_what_it_requires(rules):
    alone = scenario.target_alone(rules.policy)
    np.testing.assert_array_equal(alone.limit, [0, 0, 24])
    assert not alone.requires.any() and not alone.follows.any()


def test_spare_slots_are_room_only(rules):
    start = first_moment(rules.policy, rules.first)
    policy, roomy = scenario.with_spare_slots(rules.policy, start, 5)
    assert policy.batch == rules.policy.batch + 8 and policy.foreseen == rules.policy.foreseen + 3
    assert roomy.flights.used.shape == (policy.batch,) and not roomy.flights.used.any()
    np.testing.assert_array_equal(policy.capacity, rules.policy.capacity)


class Branching(AbstractAcquisition):
    """Decides by a Python branch, which has no form of fixed shape."""

    in_eur: ClassVar[bool] = True

    def __call__(self, posterior, known, key):
        """Branch on a traced value."""
        if posterior.mean.max() > 0.0:
            return Worth(posterior.mean, posterior.mean[:, 0])
        return Worth(-posterior.mean, posterior.mean[:, 0])


def test_what_tells_nothing_is_refused(rules):
    policy, start = rules.policy, first_moment(rules.policy, rules.first)
    refuse(policy, start, 1, 1)
    refuse_without_target(policy, start)
    with pytest.raises(StudyError, match="campaigns=0"):
        refuse(policy, start, 0, 5)
    with pytest.raises(StudyError, match=r"leaves EUR 0, .*cheapest query costs.*raise the budget"):
        refuse(scenario.with_budget(policy, 0.0), start, 5, 5)
    with pytest.raises(StudyError, match=r"leaves EUR 299.*costs 300.*raise the budget"):
        refuse_without_target(scenario.with_budget(policy, 299.0), start)
    over = eqx.tree_at(lambda s: s.state.dataset.status, start, start.state.dataset.status.at[:, 2].set(FAILED))
    with pytest.raises(StudyError, match=r"all 24 candidates.*add candidates"):
        refuse_without_target(policy, over)
    branching = eqx.tree_at(lambda p: p.acquisition, policy, Branching())
    with pytest.raises(StudyError, match=r"acquisition = Branching has no form of fixed shape.*\[model\]"):
        refuse_without_target(branching, start)
    assert jnp.isfinite(policy.budget_eur)

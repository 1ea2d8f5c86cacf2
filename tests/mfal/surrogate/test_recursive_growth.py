"""Recursive co-kriging as answers arrive in any order: updates, room, and answers missing below."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mfal.surrogate.inducing import InducingProcess
from tests.mfal.surrogate.comparing import L, all_finite, close, compiled, condition, extend, fit, views
from tests.mfal.surrogate.recursive_cases import N, nested, surrogate, tables


def same_belief(ours, theirs, tolerance=1e-8):
    close(ours.mean, theirs.mean, tolerance)
    close(ours.own, theirs.own, tolerance)
    for one, other in zip(jax.tree.leaves(views(ours)), jax.tree.leaves(views(theirs)), strict=True):
        close(one, other, tolerance)


def grown_equals_conditioned(model, before, now, tolerance=1e-8):
    fresh = now.observed & ~before.observed
    same_belief(extend(model, condition(model, before), now, fresh), condition(model, now), tolerance)


@pytest.mark.parametrize("start", [(0, 0, 0), (9, 0, 0), (9, 6, 2), (10, 7, 4)], ids=lambda c: "-".join(map(str, c)))
def test_extending_with_nested_answers_equals_conditioning(start):
    observed, value, noise = nested(8, (12, 9, 5), 0.01)
    before, _, _ = nested(8, start)
    grown_equals_conditioned(surrogate(8), tables(before, value, noise), tables(observed, value, noise))


@pytest.mark.parametrize("level", range(L))
def test_extending_with_answers_that_are_not_nested_equals_conditioning(level):
    observed, value, noise = nested(9, (9, 6, 3), 0.01)
    more = observed.copy()
    more[np.flatnonzero(~observed[:, 0])[:2], level] = True
    grown_equals_conditioned(surrogate(9), tables(observed, value, noise), tables(more, value, noise))


def test_extending_with_the_answers_that_were_missing_below_equals_conditioning():
    """Rows that had counted with the gap's variance count in full once the gap is closed."""
    observed, value, noise = nested(10, (9, 6, 3))
    gaps = observed.copy()
    gaps[np.flatnonzero(observed[:, 2])[:2], 0] = False
    grown_equals_conditioned(surrogate(10), tables(gaps, value, noise), tables(observed, value, noise))


def test_extending_as_a_source_dies_or_revives_equals_conditioning():
    observed, value, noise = nested(11, (0, 0, 0))
    failed = np.zeros((N, L), bool)
    failed[:3, 0] = True
    two, dead = failed.copy(), tables(observed, value, noise, failed)
    two[2, 0] = False
    grown_equals_conditioned(surrogate(11), tables(observed, value, noise, two), dead)
    revived = observed.copy()
    revived[5, 0] = True
    grown_equals_conditioned(surrogate(11), dead, tables(revived, value, noise, failed))


@pytest.mark.parametrize("many", [16, 17, N])
def test_extending_with_many_answers_equals_conditioning(many):
    observed, value, noise = nested(12, (N, 8, 3))
    before = nested(12, (N - many, min(N - many, 8), 0))[0]
    grown_equals_conditioned(surrogate(12), tables(before, value, noise), tables(observed, value, noise))


def test_extending_the_nonlinear_surrogate_equals_conditioning():
    observed, value, noise = nested(13, (9, 6, 3))
    before = nested(13, (8, 5, 2))[0]
    model = surrogate(13, nonlinear=True)
    now, earlier = tables(observed, value, noise), tables(before, value, noise)
    grown, whole = (
        extend(model, condition(model, earlier), now, now.observed & ~earlier.observed),
        condition(model, now),
    )
    close(grown.mean, whole.mean, 1e-10)
    close(grown.own, whole.own, 1e-10)


@pytest.mark.parametrize("level", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_extending_through_inducing_points_equals_conditioning(level):
    model = dataclasses.replace(surrogate(14), inducing=(jnp.arange(6), None, None))
    observed, value, noise = nested(14, (9, 6, 3))
    before = observed.copy()
    before[np.flatnonzero(observed[:, 2])[:1], level:] = False
    belief = condition(model, tables(before, value, noise))
    assert isinstance(belief.levels[0], InducingProcess)
    grown_equals_conditioned(model, tables(before, value, noise), tables(observed, value, noise))


def test_room_is_doubled_and_leaves_inducing_levels_alone():
    model = dataclasses.replace(surrogate(), rows=(1024, 4, 3), inducing=(jnp.arange(5), None, None))
    assert model.with_room((5000, 4, 3)).rows == (1024, 4, 3)
    assert model.with_room((5000, 5, 7)).rows == (1024, 8, 12)
    assert model.with_room((5000, 100, 0)).rows == (1024, N, 3)
    model, data = dataclasses.replace(surrogate(levels=2), rows=(16, 8)), tables(*nested(1, (10, 7)))
    close(condition(model.with_room((10, 9)), data).own, condition(model, data).own, 1e-12)


def test_nothing_compiles_again_as_data_grow():
    model, (_, value, noise) = surrogate(), nested(1)
    before, started = tables(np.zeros((N, L)), value, noise), dict(compiled)
    for counts in ((1, 0, 0), (5, 3, 1), (N, 9, 4)):
        now = tables(nested(1, counts)[0], value, noise)
        model = fit(model, before, jnp.array([True, False, counts[2] > 0]))
        extend(model, condition(model, before), now, now.observed & ~before.observed)
        before = now
    assert all(compiled[name] <= started[name] + 1 for name in compiled)


@pytest.mark.parametrize("seed", range(4))
def test_rows_with_missing_answers_below_count_for_less(seed):
    """Against the same answers with those below in hand, on their means: the mean slope is the same or weaker known."""
    model, (observed, value, noise) = surrogate(seed), nested(seed, (9, 6, 4))
    gaps = observed.copy()
    missing = np.flatnonzero(observed[:, 2])[:2]
    gaps[missing, :2] = False
    without = gaps.copy()
    without[missing, 2] = False
    belief, poorer = condition(model, tables(gaps, value, noise)), condition(model, tables(without, value, noise))
    assert all_finite((belief, views(belief)))
    richer = condition(model, tables(observed, value, noise))
    variance = [np.diagonal(one.own, 0, 1, 2)[missing, 2] for one in (richer, belief, poorer)]
    # An exact answer leaves the nugget, 1e-9 of the prior variance.
    assert (variance[0] <= variance[1] + 1e-8).all() and (variance[1] < variance[2]).all()
    # They do not teach the levels below.
    close(belief.mean[:, :2], poorer.mean[:, :2], 1e-10)
    close(belief.own[:, :2, :2], poorer.own[:, :2, :2], 1e-10)


@pytest.mark.parametrize("gap", [[0], [1], [0, 1]])
def test_a_measured_candidate_is_reproduced_also_with_gaps_below(gap):
    model, (observed, value, noise) = surrogate(3), nested(3, (9, 6, 4))
    missing = np.flatnonzero(observed[:, 2])[:2]
    observed[np.ix_(missing, gap)] = False
    belief = condition(model, tables(observed, value, noise))
    close(np.asarray(belief.mean)[observed], value[observed], 1e-5)
    assert np.abs(np.diagonal(belief.own, 0, 1, 2)[observed]).max() < 1e-7


@pytest.mark.parametrize("observed", [(0, 0, 6), (0, 6, 0), (0, 6, 6), (6, 0, 6)], ids=lambda c: "-".join(map(str, c)))
def test_a_fidelity_without_any_answer_leaves_the_others_finite(observed):
    model, (_, value, noise) = surrogate(4), nested(4)
    data = tables(nested(4, observed)[0], value, noise)
    fitted = fit(model, data, jnp.ones(L, bool))
    belief = condition(fitted, data)
    assert all_finite((fitted.parameters, belief, views(belief)))
    assert np.linalg.eigvalsh(np.asarray(belief.own)).min() > -1e-9

import numpy as np
import pytest

from mfal.errors import MfalError
from mfal.space.pool import Pool


def pool(ids=("a", "b", "c"), rows=((1.0, 5.0), (2.0, 5.0), (6.0, 5.0)), columns=("x", "constant")):
    return Pool(list(ids), np.array(rows), list(columns))


def test_features_have_zero_mean_and_unit_variance_and_constant_columns_are_zero():
    features = pool().features
    np.testing.assert_allclose(features.mean(axis=0), 0.0, atol=1e-15)
    np.testing.assert_allclose(features[:, 0], (np.array([1, 2, 6]) - 3) / np.sqrt((4 + 1 + 9) / 3))
    assert (features[:, 1] == 0.0).all()


def test_positions_follow_the_order_given():
    assert [pool().index(name) for name in ("a", "b", "c")] == [0, 1, 2]
    assert len(pool()) == 3


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"ids": (), "rows": np.zeros((0, 2))}, "pool is empty"),
        ({"ids": ("a", "b", "a")}, r"\['a'\] occur more than once"),
        ({"ids": ("a", "b")}, "does not match"),
        ({"columns": ("x",)}, "does not match"),
        ({"rows": ((1.0, 5.0), (np.nan, 5.0), (6.0, 5.0))}, r"\['b'\] are not finite"),
        ({"rows": ((1.0, 5.0), (2.0, 5.0), (6.0, np.inf))}, r"\['c'\] are not finite"),
    ],
)
def test_a_bad_pool_is_refused_by_name(changes, said):
    with pytest.raises(MfalError, match=said):
        pool(**changes)

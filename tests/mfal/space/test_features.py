import numpy as np
import pytest

pytest.importorskip("pymatgen")

from mfal.errors import MfalError
from mfal.space.features import composition_descriptors


def test_descriptors_by_hand():
    rows, columns = composition_descriptors(["AlNi", "Al3Ni"])
    at = {name: k for k, name in enumerate(columns)}
    # Pauling electronegativities 1.61 (Al) and 1.91 (Ni); groups 13 and 10.
    assert rows.shape == (2, 10)
    assert rows[0, at["mean_electronegativity"]] == pytest.approx(1.76)
    assert rows[0, at["deviation_electronegativity"]] == pytest.approx(0.15)
    assert rows[1, at["mean_group"]] == pytest.approx(0.75 * 13 + 0.25 * 10)
    assert rows[1, at["deviation_group"]] == pytest.approx(0.75 * 0.75 + 0.25 * 2.25)


def test_order_and_scale_of_the_formula_do_not_matter():
    rows, _ = composition_descriptors(["AlNi", "NiAl", "Al2Ni2", "Ni0.5Al0.5"])
    np.testing.assert_allclose(rows - rows[0], 0.0, atol=1e-12)


def test_an_element_has_no_deviation():
    rows, columns = composition_descriptors(["Ni"])
    assert (rows[0, [k for k, name in enumerate(columns) if name.startswith("deviation")]] == 0.0).all()


@pytest.mark.filterwarnings("ignore:No Pauling electronegativity")
@pytest.mark.parametrize("formula", ["Xx2", "", "Al(Ni", "He"])
def test_what_is_no_usable_formula_is_refused_by_name(formula):
    with pytest.raises(MfalError, match="formula"):
        composition_descriptors(["AlNi", formula])

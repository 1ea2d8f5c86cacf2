"""The Fisher spectrum in the logarithms of the parameters, against its definition and the exact ridge."""

import numpy as np

from pinn.series import ImageSeries
from pinn.spectrum import spectrum
from tests.pinn.scenes import circle, estimate

SERIES = ImageSeries(circle(), np.arange(6.0))


def test_the_ridge_is_the_scale_that_images_cannot_tell():
    found = spectrum(estimate(SERIES))
    assert found is not None and np.isinf(found.sds[-1]) and np.isfinite(found.sds[:-1]).all()
    assert found.names[-1] in ("M kappa^-1.00 W^-1.00", "kappa W M^-1.00", "M^-1.00 kappa W")


def test_a_drive_adds_a_parameter_and_leaves_one_ridge():
    found = spectrum(estimate(SERIES, drive=True))
    assert found is not None and len(found.names) == 4 and np.isinf(found.sds).sum() == 1


def test_spectrum_holds_the_information_of_the_products():
    outcome = estimate(SERIES)
    found = spectrum(outcome)
    assert found is not None
    # By hand: a = M kappa and b = M W have the information G = (1, 1, 0)'(1, 1, 0)/va + (1, 0, 1)'(1, 0, 1)/vb, whose
    # eigenvalues other than 0 have the sum 2/va + 2/vb and the product 3/(va vb).
    va, vb = outcome.covariance[0, 0], outcome.covariance[1, 1]
    information = found.sds[:2] ** -2.0
    np.testing.assert_allclose([information.sum(), information.prod()], [2 / va + 2 / vb, 3 / (va * vb)])

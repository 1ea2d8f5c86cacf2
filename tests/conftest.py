"""Run-time shape checks for mfal, float64, and the synthetic plug-ins, for every test."""

from jaxtyping import install_import_hook

import tests.checking  # noqa: F401

# Before the first import of mfal: every annotated array is checked against its shape at each call.
_HOOK = install_import_hook("mfal", "tests.checking.check")

import pytest  # noqa: E402

import mfal.types  # noqa: E402, F401
from tests import synthetic  # noqa: E402

synthetic.register()


@pytest.fixture(scope="session", autouse=True)
def _shapes_are_checked():
    yield
    _HOOK.uninstall()

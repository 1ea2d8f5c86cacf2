"""Run-time shape checks for mfal, float64, the synthetic plug-ins and one finished campaign, for every test."""

import os
from pathlib import Path

from jaxtyping import install_import_hook

import tests.checking  # noqa: F401

# Before their first import: every annotated array is checked against its shape at each call.
_HOOK = install_import_hook(["mfal", "pinn", "physics.phase_field", "physics.elasticity"], "tests.checking.check")

import jax  # noqa: E402
import pytest  # noqa: E402

import mfal.types  # noqa: E402, F401
from mfal.campaign.loop import Campaign  # noqa: E402
from tests import synthetic  # noqa: E402

synthetic.register()

# A file of tests needs up to some ten thousand.
MOST_MAPS = 30_000


def pytest_configure(config):
    """Keep compiled functions between runs, and share them with the processes that tests start."""
    folder = str(config.cache.mkdir("jax"))
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"


@pytest.fixture(scope="session", autouse=True)
def _shapes_are_checked():
    yield
    _HOOK.uninstall()


@pytest.fixture(scope="module", autouse=True)
def _compiled_functions_are_forgotten():
    """Each compiled function holds memory maps, of which Linux grants a process 65 530: too few for all the tests."""
    yield
    maps = Path("/proc/self/maps")
    if not maps.exists() or maps.read_bytes().count(b"\n") > MOST_MAPS:
        jax.clear_caches()


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """Directory of a synthetic campaign that ran to its end; read it, do not write to it."""
    directory = tmp_path_factory.mktemp("campaign") / "finished"
    campaign = Campaign.start(synthetic.config(), directory)
    campaign.run(lambda _: None)
    campaign.close()
    return directory

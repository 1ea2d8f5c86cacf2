"""How studies are cut: by memory on an accelerator, over several devices, in either precision."""

import json
import subprocess
import sys
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mfal.whatif import spread
from mfal.whatif.spread import batches, bytes_of, in_precision

CARRIED = {"x": jnp.zeros(10_000), "name": "x"}


@pytest.mark.parametrize(("memory", "count"), [(10**9, 1), (10**9, 2), (10**7, 1)])
def test_as_many_campaigns_as_the_memory_holds(monkeypatch, memory, count):
    device = SimpleNamespace(platform="gpu", memory_stats=lambda: {"bytes_limit": memory})
    monkeypatch.setattr(spread.jax, "local_devices", lambda: [device] * count)
    plan = batches(CARRIED, 1_000_000, single=False)
    each = spread.AHEAD * spread.WORKING * bytes_of(CARRIED)
    assert plan.size * each <= spread.SHARE * memory < (plan.size + 1) * each
    assert plan.devices == count and len(plan.starts) == -(-1_000_000 // (plan.size * count))
    assert batches(CARRIED, 1_000_000, single=True).size >= 2 * plan.size
    assert batches(CARRIED, 7, single=False).size == min(plan.size, -(-7 // count))


def test_a_processor_takes_small_lots():
    plan = batches(CARRIED, 10_000, single=False)
    assert plan.size % plan.together == 0 and plan.together == spread.ON_PROCESSOR
    assert plan.size * len(plan.starts) >= 10_000
    assert batches(CARRIED, 3, single=False).size == spread.ON_PROCESSOR


def test_precision_inside():
    whole = {"x": jnp.ones(3), "index": jnp.arange(3), "name": "x"}
    with in_precision(True, whole) as lowered:
        assert lowered["x"].dtype == jnp.float32 and jnp.zeros(2).dtype == jnp.float32
        assert lowered["index"].dtype == jnp.int32 and lowered["name"] == "x"
    with in_precision(False, whole) as same:
        assert same["x"].dtype == jnp.float64
    assert jnp.zeros(2).dtype == jnp.float64


SEVERAL = """
import mfal, jax, numpy as np
from mfal.whatif.spread import over_devices
assert len(jax.local_devices()) == 2
batch = lambda run, key: jax.random.normal(key, (3,)) + run["shift"]
both = over_devices(batch, {"shift": jax.numpy.ones(()), "name": "x"}, 2, jax.random.key(0))
print(np.asarray(both).tolist())
"""


def test_every_device_draws_its_own():
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "PATH": "", "JAX_PLATFORMS": "cpu"}
    run = subprocess.run([sys.executable, "-c", SEVERAL], capture_output=True, text=True, env=flags, check=True)
    alone = [jax.random.normal(key, (3,)) + 1.0 for key in jax.random.split(jax.random.key(0), 2)]
    np.testing.assert_allclose(np.array(json.loads(run.stdout)), np.concatenate(alone), rtol=1e-12)

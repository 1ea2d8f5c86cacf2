"""Parameters of phase-field and stiffness models from noisy fields: one log-posterior, several ways to its maximum."""

import os
import sys

# Second-order fits stall in float32 long before they reach what the data allow. The command line loads this package to
# list what it can do, and must not wait for JAX: where JAX is not there yet, it finds its setting in the environment.
if "jax" in sys.modules:
    sys.modules["jax"].config.update("jax_enable_x64", True)
else:
    os.environ["JAX_ENABLE_X64"] = "true"

"""Parameters of phase-field and stiffness models from noisy fields: one log-posterior, several ways to its maximum."""

import jax

# Second-order fits stall in float32 long before they reach what the data allow.
jax.config.update("jax_enable_x64", True)

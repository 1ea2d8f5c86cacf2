"""Linear elasticity of polycrystals: stiffness tensors, equilibrium and homogenisation."""

import jax

# Equilibrium to 1e-10 and constants to 1e-8 are out of reach of float32.
jax.config.update("jax_enable_x64", True)

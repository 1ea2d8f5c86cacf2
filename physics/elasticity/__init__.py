"""Linear elasticity of polycrystals: stiffness tensors, equilibrium and homogenisation."""

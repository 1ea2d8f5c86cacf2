"""Finished calculations as other programs' documents: emmet-core, OPTIMADE, ASE databases."""

"""Stiffness of grains from displacement fields, and of the window that they make up."""

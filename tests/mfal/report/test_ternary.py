"""The triangle: where compositions lie, what is drawn, and what is refused."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from mfal.errors import ConstraintError
from mfal.report.ternary import Panel, Surface, grid, in_plane, ternary_plot

pytest.importorskip("matplotlib")
DESIGNS = np.array([[0.2, 0.3, 0.5], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])


def surface(steps=12):
    points = grid(steps)
    return Surface(points, points @ np.array([1.0, 2.0, 5.0]), "hardness, HV")


def test_corners_and_centre_lie_where_they_should():
    np.testing.assert_allclose(in_plane(np.eye(3)), [[0, 0], [1, 0], [0.5, np.sqrt(3) / 2]])
    np.testing.assert_allclose(in_plane(np.full((1, 3), 1 / 3)), [[0.5, np.sqrt(3) / 6]])


def test_distance_to_an_edge_is_the_share_of_the_opposite_element():
    x = np.random.default_rng(0).dirichlet(np.ones(3), 50)
    np.testing.assert_allclose(in_plane(x)[:, 1], x[:, 2] * np.sqrt(3) / 2)


def test_a_grid_has_every_composition_once():
    points = grid(10)
    assert len(points) == 66 and len(np.unique(points, axis=0)) == 66
    np.testing.assert_allclose(points.sum(axis=1), 1.0)


def test_every_design_is_drawn_and_named():
    panels = [Panel("simplex", DESIGNS, np.ones(3, bool), 0), Panel("box", DESIGNS, np.array([True, False, False]), 1)]
    svg = ternary_plot(("Ni", "Co", "Cr"), surface(), panels)
    ElementTree.fromstring(svg)
    for text in ("simplex", "box", "hardness, HV", "made as proposed", "named best"):
        assert text in svg
    assert svg.count("rescaled by hand") == 1
    assert len(re.findall(">(?:Ni|Co|Cr)</text>", svg)) == 6
    assert ternary_plot(("Ni", "Co", "Cr"), surface(), panels) == svg


def test_what_is_no_composition_is_refused():
    panel = Panel("box", DESIGNS * 2.0, np.ones(3, bool), 0)
    with pytest.raises(ConstraintError, match="box: row=0 is no composition"):
        ternary_plot(("Ni", "Co", "Cr"), surface(), [panel])
    with pytest.raises(ConstraintError, match="three corners"):
        ternary_plot(("Ni", "Co"), surface(), [])
    with pytest.raises(ConstraintError, match="at least one"):
        ternary_plot(("Ni", "Co", "Cr"), surface(), [])
    with pytest.raises(ConstraintError, match="shape"):
        ternary_plot(("Ni", "Co", "Cr"), surface(), [Panel("p", np.eye(2), np.ones(2, bool), 0)])

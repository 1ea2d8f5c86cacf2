"""The advisor's rules; that they are right is measured by `benchmarks/inverse/advice.py`."""

from dataclasses import replace

import numpy as np
import pytest

from pinn.advisor import Situation, advise, situation_of
from pinn.phase_field.models import AllenCahn, Camera
from pinn.series import ImageSeries
from tests.pinn.scenes import circle

SHARP = Camera(blur_px=0.0)


@pytest.mark.parametrize(
    ("situation", "backend", "reason"),
    [
        (Situation(), "solver", "solved exactly"),
        (Situation(edges_seen=False), "solver", "margin around the images"),
        (Situation(sought="fields", frames=0, law="known"), "solver", "nothing is unknown"),
        (Situation(law="unknown local term"), "solver", "polynomial"),
        (Situation(box=False), "pinn", "no box"),
        (Situation(edges_seen=False, enters=True), "pinn", "network alone"),
        (Situation(enters=True), "solver", "solved exactly"),
        (Situation(blur_apart=False), "none", "measure it"),
        (Situation(first_field_told=False), "none", "a prior decides"),
        (Situation(law="none"), "none", "no equation is known"),
        (Situation(frames=2), "none", "2 frames"),
        (Situation(intensities=False), "none", "segmentation"),
        (Situation(curved=False), "none", "kappa/W only"),
    ],
)
def test_each_rule_gives_its_reason(situation, backend, reason):
    advice = advise(situation)
    assert advice.backend == backend and reason in " ".join(advice.reasons)


def test_what_makes_an_answer_impossible_comes_before_all_else():
    advice = advise(Situation(law="none", frames=1, intensities=False, box=False))
    assert advice.backend == "none" and len(advice.reasons) == 3


def test_missing_frames_do_not_count():
    frames = circle()
    frames[[1, 4]] = np.nan
    found = situation_of(ImageSeries(frames, np.arange(6.0)), AllenCahn("open"), SHARP)
    assert found == replace(Situation(), frames=4, edges_seen=False)


@pytest.mark.parametrize(
    ("edge", "first", "enters"), [("open", 0.7, True), ("open", None, False), ("no-flux", 0.7, False)]
)
def test_an_interface_that_comes_into_view_is_noticed(edge, first, enters):
    frames = circle(noise=0.05)
    if first is not None:
        frames[0] = first + 0.05 * np.random.default_rng(1).standard_normal(frames[0].shape)
    assert situation_of(ImageSeries(frames, np.arange(6.0)), AllenCahn(edge), SHARP).enters is enters


def test_what_a_first_field_that_is_known_settles():
    """Without it an unknown blur cannot be told from it, nor can it be told from a pixel seen once."""
    frames = circle()
    unseen = np.arange(frames.size).reshape(frames.shape) % 6 != 0
    few = ImageSeries(np.where(unseen, np.nan, frames), np.arange(6.0))
    open_edge = replace(Situation(), frames=6, edges_seen=False)
    hidden = replace(open_edge, blur_apart=False, first_field_told=False)
    assert situation_of(few, AllenCahn("open"), Camera()) == hidden
    assert situation_of(few, AllenCahn("open"), Camera(), frames[0]) == open_edge

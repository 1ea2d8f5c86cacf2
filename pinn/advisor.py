"""Which back end a problem is for, and when none is: the solver unless something speaks against it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pinn.phase_field.models import Camera, Model
from pinn.series import FEWEST_FRAMES, ImageSeries

SEEN = 2.0  # times that a pixel is seen, at least, where the data are to decide on the first field

Route = Literal["solver", "field", "pinn", "none"]


@dataclass(frozen=True)
class Situation:
    """What is known of a problem before anything is fitted.

    Attributes:
        sought: parameters from data, or fields from known parameters.
        law: whether an equation is known, known but for its local term f(phi), or not known at all.
        intensities: whether the data are intensities; a segmentation or labels are not.
        frames: number of them.
        edges_seen: whether what is beyond the images is known (a period, a wall) or has to be inferred.
        enters: whether interfaces come into view that were all beyond the images, far away, at first.
        blur_apart: whether the point-spread function, or the first field, is known.
        first_field_told: whether the first field is known, or its pixels are seen more than once or so in the series.
        box: whether the scene is a box with equal pixels, which a spectral solver needs.
        curved: whether interfaces curve or meet; a flat one that rests tells one ratio only.
    """

    sought: Literal["parameters", "fields"] = "parameters"
    law: Literal["known", "unknown local term", "none"] = "known"
    intensities: bool = True
    frames: int = 20
    edges_seen: bool = True
    enters: bool = False
    blur_apart: bool = True
    first_field_told: bool = True
    box: bool = True
    curved: bool = True


@dataclass(frozen=True)
class Advice:
    """A back end and why; "none" where no back end can answer."""

    backend: Route
    reasons: tuple[str, ...]


def advise(situation: Situation) -> Advice:
    """Return the back end that should be tried first, with the reasons.

    The order of the rules matters: what makes an answer impossible comes first, then what a solver cannot express.
    """
    against = _impossible(situation)
    if against:
        return Advice("none", against)
    if situation.sought == "fields":
        return Advice("solver", ("nothing is unknown: a solver is faster and more accurate than a network by far",))
    if situation.law == "unknown local term":
        return Advice("solver", (_POLYNOMIAL,))
    if not situation.box:
        return Advice("pinn", (f"the scene is no box of equal pixels, which the spectral solver needs; {_TOOLKIT}",))
    if situation.enters and not situation.edges_seen:
        return Advice("pinn", (_ENTERS,))
    return Advice("solver", _for_solver(situation))


_TOOLKIT = "a network can carry it: write its residual with `pinn.training.network` and `pinn.training.residuals`"

_POLYNOMIAL = (
    "f(phi) is unknown, and `fit` has the double well built in: write it as a polynomial, an `AbstractEquation` of "
    "`physics.phase_field`, and infer its coefficients through `evolve`; a network beside it was less accurate"
)
_ENTERS = (
    "an interface comes from beyond any margin that could be inferred, and a solver has no first field that holds it: "
    'of Allen-Cahn images `fit(..., backend="pinn")` asks the network alone, twice'
)


def situation_of(series: ImageSeries, model: Model, camera: Camera, initial: np.ndarray | None = None) -> Situation:
    """Return what is known of a problem from what `fit` is given."""
    from pinn.phase_field.entering import enters

    seen = ~np.isnan(series.frames).reshape(len(series.frames), -1)
    known = initial is not None
    return Situation(
        frames=int(seen.any(axis=1).sum()),
        edges_seen=model.edge != "open",
        enters=enters(series, model),
        blur_apart=known or camera.blur_px is not None,
        first_field_told=known or bool(seen.sum() >= SEEN * seen.shape[1]),
    )


def _impossible(situation: Situation) -> tuple[str, ...]:
    reasons = []
    if situation.law == "none":
        reasons.append("no equation is known: there is nothing for physics to inform; fit a statistical model")
    if situation.sought == "parameters":
        if not situation.intensities:
            reasons.append("a segmentation hides the width of the interface; give the intensities it was made from")
        if situation.frames < FEWEST_FRAMES:
            reasons.append(f"{situation.frames} frames fit any pair of rates; take more")
        if not situation.blur_apart:
            reasons.append("a point-spread function inferred with the first field comes out too narrow; measure it")
        if not situation.first_field_told:
            reasons.append("of too few pixels a prior decides on the first field, and rates follow it; take more")
        if not situation.curved:
            reasons.append("a flat interface at rest tells kappa/W only; look at curved ones")
    return tuple(reasons)


def _for_solver(situation: Situation) -> tuple[str, ...]:
    reasons = ["the equation is known and solved exactly at every step: no residual to be balanced against the data"]
    if not situation.edges_seen:
        reasons.append("the unseen surroundings are inferred with the initial field, in a margin around the images")
    return tuple(reasons)

"""What a person knows of a scene before the fit: its equation, its camera, and a number that sets the scale."""

from dataclasses import dataclass
from typing import Literal

from pinn.amounts import Measured

Edge = Literal["periodic", "no-flux", "open"]


@dataclass(frozen=True)
class AllenCahn:
    """A phase that grows or shrinks: phi_t = M (kappa lap(phi) - W g'(phi) + dG h'(phi)).

    Attributes:
        edge: what is beyond the images: the same again, a wall, or "open", more of the scene that nobody saw.
        driven: whether a driving force acts; its product with the mobility is then fitted.
        driving_force: dG where it is known, in J/m^3, positive where the bright phase grows; implies `driven`.
        interface_energy: sigma where it is known, in J/m^2.
        margin_px: how far the unseen scene reaches around the images; only for an open edge.
    """

    edge: Edge = "periodic"
    driven: bool = False
    driving_force: Measured | None = None
    interface_energy: Measured | None = None
    margin_px: int = 12


@dataclass(frozen=True)
class CahnHilliard:
    """A composition that separates: c_t = M lap(W g'(c) - kappa lap(c)).

    Attributes:
        edge: as of `AllenCahn`.
        interface_energy: sigma where it is known, in J/m^2.
        margin_px: as of `AllenCahn`.
    """

    edge: Edge = "periodic"
    interface_energy: Measured | None = None
    margin_px: int = 12


Model = AllenCahn | CahnHilliard


def has_scale(model: Model) -> bool:
    """Return whether a number from another experiment sets the scale of mobility and energies."""
    return model.interface_energy is not None or (isinstance(model, AllenCahn) and model.driving_force is not None)


@dataclass(frozen=True)
class Camera:
    """What is known of the camera; what is None is fitted.

    Intensity = point-spread function * (gain phi + offset) + noise. Fixing what is not known biases the rates: a
    neglected point-spread function of 1 px where the interface is 3 px wide costs 13 % of M W.

    Attributes:
        gain: intensity of the bright phase over that of the dark one.
        offset: intensity of the dark phase.
        blur_px: standard deviation of the Gaussian point-spread function.
        noise_sd: of a pixel, in units of the intensities.
        pixel_average: whether a pixel collects light from its whole area; otherwise it sees its centre.
    """

    gain: float | None = None
    offset: float | None = None
    blur_px: float | None = None
    noise_sd: float | None = None
    pixel_average: bool = False

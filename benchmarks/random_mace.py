"""MACE with random weights in the shape of a published model: costs what that one costs, and needs no network."""

from typing import TYPE_CHECKING

import numpy as np

from physics.mlip.mace_checkpoint import import_mace, quietly

if TYPE_CHECKING:
    import torch

ELEMENTS = (*range(1, 84), *range(89, 95))  # the 89 of MACE-MP: none from polonium to radium


def random_mace(
    seed: int, channels: int = 128, max_l: int = 0, elements: tuple[int, ...] = ELEMENTS
) -> "torch.nn.Module":
    """Return a float64 ScaleShiftMACE; without further arguments in the shape of MACE-MP-0 small.

    Two interactions of correlation order 3, spherical harmonics up to l = 3, ten Bessel functions up to 6 angstrom
    (Batatia et al., arXiv:2401.00096).

    Args:
        seed: of the weights.
        channels: of each degree.
        max_l: largest degree of the messages: 0 in the small model, 1 in the medium one.
        elements: atomic numbers.
    """
    import_mace()
    import torch
    from e3nn.o3 import Irreps
    from mace.modules import ScaleShiftMACE, interaction_classes
    from mace.tools.torch_tools import default_dtype

    interaction = interaction_classes["RealAgnosticResidualInteractionBlock"]
    hidden = Irreps([(channels, (degree, (-1) ** degree)) for degree in range(max_l + 1)])
    with quietly(), default_dtype("float64"), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ScaleShiftMACE(
            r_max=6.0,
            num_bessel=10,
            num_polynomial_cutoff=5,
            max_ell=3,
            interaction_cls=interaction,
            interaction_cls_first=interaction,
            num_interactions=2,
            num_elements=len(elements),
            hidden_irreps=hidden,
            MLP_irreps=Irreps("16x0e"),
            atomic_energies=np.random.default_rng(seed).uniform(-10, -1, len(elements)),
            avg_num_neighbors=60.0,
            atomic_numbers=list(elements),
            correlation=3,
            gate=torch.nn.functional.silu,
            radial_MLP=[64, 64, 64],
            atomic_inter_scale=0.8,
            atomic_inter_shift=0.2,
        )

"""The composition as an encoder of structures: what a structure's embedding has to beat."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mfal.space.features import composition_descriptors
from physics.mlip.embedding import Encoder

if TYPE_CHECKING:
    from ase import Atoms


def composition_encoder() -> Encoder:
    """Return the encoder by fraction-weighted statistics of elemental properties, shape (structures, 10).

    The encoder raises an MfalError for an element without tabulated properties, a MissingExtraError without pymatgen.
    """

    def encode(structures: Sequence["Atoms"]) -> np.ndarray:
        return composition_descriptors([atoms.get_chemical_formula() for atoms in structures])[0]

    return encode

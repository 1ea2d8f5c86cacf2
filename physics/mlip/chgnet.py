"""CHGNet with the weights that its wheel carries (Deng et al., Nat. Mach. Intell. 5, 1031 (2023))."""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import Calculator

WEIGHTS = {
    "0.3.0": "0.3.0/chgnet_0.3.0_e29f68s314m37.pth.tar",
    "r2scan": "r2scan/chgnet_r2scan_transfer_learning_e15f36s161m23.pth.tar",
}


@dataclass(frozen=True)
class ChgnetPotential:
    """CHGNet on one CPU thread: answers are the same bits for the same input on one machine.

    Attributes:
        model: the torch module.
        weights: key of `WEIGHTS`.
    """

    model: Any
    weights: str

    def energies_ev_per_atom(self, structures: Sequence["Atoms"]) -> np.ndarray:
        """Return energies of many structures in one batch, shape (structures,), eV/atom."""
        import torch
        from pymatgen.io.ase import AseAtomsAdaptor

        adapt: Any = AseAtomsAdaptor.get_structure  # annotated for its own subclass of Atoms
        graphs = [self.model.graph_converter(adapt(atoms)) for atoms in structures]
        with torch.no_grad():
            answers = self.model.predict_graph(graphs, task="e", batch_size=16)
        answers = answers if len(graphs) > 1 else [answers]
        return np.array([float(answer["e"]) for answer in answers])

    def calculator(self) -> "Calculator":
        """Return an ASE calculator: energy, forces, stress."""
        from chgnet.model.dynamics import CHGNetCalculator

        with contextlib.redirect_stdout(io.StringIO()):  # announces its device on every construction
            return CHGNetCalculator(self.model, use_device="cpu")


def load(weights: str = "0.3.0") -> ChgnetPotential:
    """Load CHGNet without executing anything that the weights file may carry.

    Raises:
        ValueError: the weights are unknown.
    """
    import warnings
    from importlib.resources import files

    import torch
    from chgnet.model.model import CHGNet

    if weights not in WEIGHTS:
        raise ValueError(f"CHGNet has no {weights=}; known: {sorted(WEIGHTS)}")
    torch.set_num_threads(1)
    # chgnet turns a tensor that requires gradients into a float; torch 2.13 warns at each new call site
    warnings.filterwarnings("ignore", "Converting a tensor with requires_grad", UserWarning)
    path = files("chgnet") / "pretrained" / WEIGHTS[weights]
    state = torch.load(str(path), map_location="cpu", weights_only=True)
    with contextlib.redirect_stdout(io.StringIO()):
        model = CHGNet.from_dict(state["model"], mlp_out_bias=False, version=weights)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return ChgnetPotential(model.eval(), weights)

"""CHGNet's parameters, read from the files that its wheel carries, as a pytree of JAX arrays."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

FEATURES = 64  # of an atom, a bond and an angle, in every published CHGNet


class UnknownWeightsError(ValueError):
    """No weights are known under the name: lists those that are."""


class MissingWeightsError(ImportError):
    """chgnet, whose wheel carries the weights, or torch, which reads them, is not installed."""


@dataclass(frozen=True)
class Release:
    """What a weights file does not say in a form to rely on.

    Attributes:
        path: file inside the package chgnet.
        atom_cutoff_a: reach of a bond, angstrom.
        bond_cutoff_a: reach of a bond that takes part in angles, angstrom.
        envelope_exponent: p of the polynomial that takes both bases to zero at their cutoffs.
    """

    path: str
    atom_cutoff_a: float
    bond_cutoff_a: float
    envelope_exponent: int


RELEASES = {
    "0.3.0": Release("pretrained/0.3.0/chgnet_0.3.0_e29f68s314m37.pth.tar", 6.0, 3.0, 8),
    "0.2.0": Release("pretrained/0.2.0/chgnet_0.2.0_e30f77s348m32.pth.tar", 5.0, 3.0, 5),
    "r2scan": Release("pretrained/r2scan/chgnet_r2scan_transfer_learning_e15f36s161m23.pth.tar", 6.0, 3.0, 8),
}


class LayerNorm(eqx.Module):
    """Scale and shift after standardisation of each row.

    Attributes:
        scale: factor of each feature.
        shift: added to each feature.
    """

    scale: Float[Array, " features"]
    shift: Float[Array, " features"]


class Linear(eqx.Module):
    """``x @ kernel + bias``.

    Attributes:
        kernel: inputs in rows.
        bias: None for none.
    """

    kernel: Float[Array, "inputs outputs"]
    bias: Float[Array, " outputs"] | None


class Branch(eqx.Module):
    """What follows the first layer in one of the two branches of a gated perceptron.

    Attributes:
        hidden: second layer, after a SiLU; None where there is only one layer.
        norm: of rows whose mean the layer before has removed already; None in release 0.2.0.
    """

    hidden: Linear | None
    norm: LayerNorm | None


class GatedPerceptron(eqx.Module):
    """``silu(core) * sigmoid(gate)`` of concatenated inputs.

    Attributes:
        kernel: first layers of both branches, a block for each input: each is applied before its rows are gathered.
            Columns: core, then gate.
        bias: of the first layers.
        core: the rest of the core.
        gate: the rest of the gate.
    """

    kernel: Float[Array, "inputs 64 128"]
    bias: Float[Array, " 128"]
    core: Branch
    gate: Branch


class Convolution(eqx.Module):
    """Messages and what is done to their sum.

    Attributes:
        message: atoms: of centre, bond, neighbour; bonds: of first bond, second bond, angle, centre.
        out: applied to the sum.
    """

    message: GatedPerceptron
    out: Linear


class ChgnetWeights(eqx.Module):
    """All that a prediction needs (Deng et al., Nat. Mach. Intell. 5, 1031 (2023)).

    CHGNet trains a third angle update that nothing reads; it is left out.

    Attributes:
        atom_reference: energy of each element, eV/atom, atomic numbers 1 to 94.
        atom_embedding: first features of each element.
        atom_frequencies: of the Bessel basis that reaches `atom_cutoff_a`.
        bond_frequencies: of the one that reaches `bond_cutoff_a`.
        angle_frequencies: of the Fourier basis.
        bond_embedding: from the first basis to bond features.
        atom_weights: from the first basis to the weights of messages to atoms.
        bond_weights: from the second basis to the weights of messages to bonds.
        angle_embedding: from the Fourier basis to angle features.
        atom_convolutions: four.
        bond_convolutions: three.
        angle_updates: two; of first bond, second bond, angle, centre.
        moment: magnetic moment from atom features, before its absolute value is taken.
        readout_norm: None in release 0.2.0.
        readout: perceptron from atom features to energies.
        atom_cutoff_a: see `Release`.
        bond_cutoff_a: see `Release`.
        envelope_exponent: see `Release`.
    """

    atom_reference: Float[Array, " 94"]
    atom_embedding: Float[Array, "94 64"]
    atom_frequencies: Float[Array, " radial"]
    bond_frequencies: Float[Array, " radial"]
    angle_frequencies: Float[Array, " harmonics"]
    bond_embedding: Float[Array, "radial 64"]
    atom_weights: Float[Array, "radial 64"]
    bond_weights: Float[Array, "radial 64"]
    angle_embedding: Float[Array, "angular 64"]
    atom_convolutions: tuple[Convolution, ...]
    bond_convolutions: tuple[Convolution, ...]
    angle_updates: tuple[GatedPerceptron, ...]
    moment: Linear
    readout_norm: LayerNorm | None
    readout: tuple[Linear, ...]
    atom_cutoff_a: float = eqx.field(static=True)
    bond_cutoff_a: float = eqx.field(static=True)
    envelope_exponent: int = eqx.field(static=True)


def load_weights(name: str = "0.3.0") -> ChgnetWeights:
    """Read the float32 parameters of a release without executing anything that the file may carry.

    Raises:
        UnknownWeightsError: no release has this name.
        MissingWeightsError: chgnet or torch is not installed.
    """
    if name not in RELEASES:
        raise UnknownWeightsError(f"CHGNet has no weights {name=}; known: {sorted(RELEASES)}")
    release = RELEASES[name]
    parameters = _read(_package_folder() / release.path)
    return ChgnetWeights(
        atom_reference=parameters["composition_model.fc.weight"][0],
        atom_embedding=parameters["atom_embedding.embedding.weight"],
        atom_frequencies=parameters["bond_basis_expansion.rbf_expansion_ag.frequencies"],
        bond_frequencies=parameters["bond_basis_expansion.rbf_expansion_bg.frequencies"],
        angle_frequencies=parameters["angle_basis_expansion.fourier_expansion.frequencies"],
        bond_embedding=parameters["bond_embedding.weight"].T,
        atom_weights=parameters["bond_weights_ag.weight"].T,
        bond_weights=parameters["bond_weights_bg.weight"].T,
        angle_embedding=parameters["angle_embedding.weight"].T,
        atom_convolutions=tuple(_convolution(parameters, f"atom_conv_layers.{i}", "twoBody_atom") for i in range(4)),
        bond_convolutions=tuple(_convolution(parameters, f"bond_conv_layers.{i}", "twoBody_bond") for i in range(3)),
        angle_updates=tuple(_gated(parameters, f"angle_layers.{i}.twoBody_bond", layers=(1,)) for i in range(2)),
        moment=_linear(parameters, "site_wise"),
        readout_norm=_norm(parameters, "readout_norm"),
        readout=_readout(parameters),
        atom_cutoff_a=release.atom_cutoff_a,
        bond_cutoff_a=release.bond_cutoff_a,
        envelope_exponent=release.envelope_exponent,
    )


def _package_folder() -> Path:
    found = find_spec("chgnet")  # importing it would load pymatgen, which reading the weights does not need
    if found is None or found.origin is None:
        raise MissingWeightsError("the package chgnet carries the weights: pip install 'mfal[mlip]'", name="chgnet")
    return Path(found.origin).parent


def _read(path: Path) -> dict[str, Array]:
    try:
        import torch
    except ImportError as missing:
        raise MissingWeightsError("torch reads CHGNet's weights: pip install 'mfal[mlip]'", name="torch") from missing
    state: Any = torch.load(str(path), map_location="cpu", weights_only=True)
    tensors = state["model"]["state_dict"]
    return {key: jnp.asarray(tensor.numpy(), jnp.float32) for key, tensor in tensors.items()}


def _linear(parameters: Mapping[str, Array], key: str) -> Linear:
    return Linear(parameters[f"{key}.weight"].T, parameters.get(f"{key}.bias"))


def _norm(parameters: Mapping[str, Array], key: str) -> LayerNorm | None:
    if f"{key}.weight" not in parameters:
        return None
    return LayerNorm(parameters[f"{key}.weight"], parameters[f"{key}.bias"])


def _convolution(parameters: Mapping[str, Array], key: str, perceptron: str) -> Convolution:
    message = _gated(parameters, f"{key}.{perceptron}", layers=(0, 3))
    return Convolution(message, _linear(parameters, f"{key}.mlp_out.layers.1"))


def _gated(parameters: Mapping[str, Array], key: str, layers: tuple[int, ...]) -> GatedPerceptron:
    """Put the first layers of both branches side by side, cut into one block for each input of 64 features."""
    names = [f"{key}.mlp_{branch}.layers" for branch in ("core", "gate")]
    norms = [_norm(parameters, f"{key}.bn{i}") for i in (1, 2)]
    first = [_linear(parameters, f"{name}.{layers[0]}") for name in names]
    hidden: list[Linear | None] = [
        _linear(parameters, f"{name}.{layers[1]}") if len(layers) > 1 else None for name in names
    ]
    for i, norm in enumerate(norms):
        if norm is not None and (last := hidden[i]) is not None:
            hidden[i] = _centred(last)
        elif norm is not None:
            first[i] = _centred(first[i])
    kernel = jnp.concatenate([linear.kernel for linear in first], axis=1).reshape(-1, FEATURES, 2 * FEATURES)
    bias = jnp.concatenate([linear.bias for linear in first if linear.bias is not None])
    return GatedPerceptron(kernel, bias, Branch(hidden[0], norms[0]), Branch(hidden[1], norms[1]))


def _centred(linear: Linear) -> Linear:
    """Make the outputs of a layer sum to zero: the standardisation that follows would subtract their mean."""
    kernel, bias = np.asarray(linear.kernel, np.float64), np.asarray(linear.bias, np.float64)
    kernel = kernel - kernel.mean(axis=1, keepdims=True)
    return Linear(jnp.asarray(kernel, jnp.float32), jnp.asarray(bias - bias.mean(), jnp.float32))


def _readout(parameters: Mapping[str, Array]) -> tuple[Linear, ...]:
    # the numbers in the keys count torch's activations too, so they differ between releases
    numbers = sorted(int(key.split(".")[2]) for key in parameters if key.startswith("mlp.") and key.endswith("weight"))
    return tuple(_linear(parameters, f"mlp.layers.{number}") for number in numbers)

"""CHGNet in JAX: energy, forces, stress, magnetic moments and embedding of a batch of crystals in one pass.

Deng et al., Nat. Mach. Intell. 5, 1031 (2023). Energies are per atom, stresses have the sign of
``dE / dstrain / volume`` with ``vectors @ (1 + strain)``, not symmetrised, as CHGNet itself gives them.

Every first layer is applied to atoms and bonds before their rows are gathered to edges and angles, and a weight that
all messages of a sum share is applied to the sum: most of what the published code multiplies is one row many times.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from physics.mlip.bases import bessel, fourier
from physics.mlip.neighbours import Crystals, Graph, cell_volumes
from physics.mlip.weights import FEATURES, Branch, ChgnetWeights, Convolution, GatedPerceptron, LayerNorm, Linear

GPA_PER_EV_A3 = 160.21766208  # the digits that CHGNet uses
COSINE_SCALE = 1 - 1e-6  # keeps the arc cosine's slope finite for bonds in one line


class Answer(eqx.Module):
    """What one batch gives, padding included; a stack of batches has one more, leading axis.

    Attributes:
        energies_ev_per_atom: of each structure.
        forces_ev_per_a: on each atom.
        stresses_gpa: of each structure.
        magnetic_moments_mu_b: of each atom.
        embeddings: mean of the last features of a structure's atoms.
        overflow: whether the graph did not fit; then nothing else holds.
    """

    energies_ev_per_atom: Float[Array, "*stack structures"]
    forces_ev_per_a: Float[Array, "*stack atoms 3"]
    stresses_gpa: Float[Array, "*stack structures 3 3"]
    magnetic_moments_mu_b: Float[Array, "*stack atoms"]
    embeddings: Float[Array, "*stack structures 64"]
    overflow: Bool[Array, "*stack"]


def answer_shapes(structures: int, atoms: int) -> tuple[tuple[int, ...], ...]:
    """Return the shapes of an answer's arrays in their order, but for `overflow`."""
    return (structures,), (atoms, 3), (structures, 3, 3), (atoms,), (structures, FEATURES)


def no_answer(structures: int, atoms: int, real: DTypeLike, stack: tuple[int, ...] = ()) -> Answer:
    """Return an answer of zeros, to be filled in a loop."""
    shapes = answer_shapes(structures, atoms)
    return Answer(*(jnp.zeros((*stack, *shape), real) for shape in shapes), overflow=jnp.zeros(stack, bool))


def answer(weights: ChgnetWeights, crystals: Crystals, graph: Graph, vectors: Float[Array, "bonds 3"]) -> Answer:
    """Answer a batch whose graph is known.

    One gradient, with respect to the bond vectors, holds forces and stresses: ``F_i`` sums the gradients of bonds that
    start at ``i`` less those that end there, the stress sums ``vector x gradient``. That is exact for any energy of
    the bond vectors, and takes no derivative through positions and cells.
    """
    (_, (site_energies, moments, features)), gradient = jax.value_and_grad(total_energy, argnums=1, has_aux=True)(
        weights, vectors, crystals, graph
    )
    atoms, structures = crystals.owner.shape[0], crystals.cells.shape[0]
    virial = (vectors[:, :, None] * gradient[:, None, :]).reshape(-1, 9)
    at_centre = _sum_rows(jnp.concatenate([gradient, virial], axis=1), graph.centre, atoms)
    forces = at_centre[:, :3] - _sum_rows(gradient, graph.neighbour, atoms)
    owner, slots = crystals.owner, structures + 1
    counts = jnp.maximum(_sum_rows(jnp.ones_like(site_energies)[:, None], owner, slots), 1)
    virials = _sum_rows(at_centre[:, 3:], owner, slots)[:structures].reshape(-1, 3, 3)
    means = _means(jnp.concatenate([site_energies[:, None], features], axis=1), owner, counts)[:structures]
    return Answer(
        energies_ev_per_atom=means[:, 0],
        forces_ev_per_a=forces,
        stresses_gpa=virials * (GPA_PER_EV_A3 / cell_volumes(crystals.cells)[:, None, None]),
        magnetic_moments_mu_b=moments,
        embeddings=means[:, 1:],
        overflow=graph.overflow,
    )


def _means(
    rows: Float[Array, "atoms columns"], owner: Array, counts: Float[Array, "owners 1"]
) -> Float[Array, "owners columns"]:
    """Return means over atoms, then add the mean of what is left: a sum of 1000 energies loses 1e-4 eV/atom."""
    first = _sum_rows(rows, owner, counts.shape[0]) / counts
    return first + _sum_rows(rows - first[owner], owner, counts.shape[0]) / counts


def total_energy(
    weights: ChgnetWeights, vectors: Float[Array, "bonds 3"], crystals: Crystals, graph: Graph
) -> tuple[Float[Array, ""], tuple[Float[Array, " atoms"], Float[Array, " atoms"], Float[Array, "atoms 64"]]]:
    """Return the energy of all atoms; of each atom energy, eV, magnetic moment, mu_B, and last features."""
    lengths = jnp.sqrt(jnp.sum(vectors**2, axis=1))
    basis = bessel(lengths, weights.atom_frequencies, weights.atom_cutoff_a, weights.envelope_exponent)
    short_basis = bessel(
        lengths[: graph.short], weights.bond_frequencies, weights.bond_cutoff_a, weights.envelope_exponent
    )
    atoms = weights.atom_embedding[crystals.numbers - 1]
    bonds = _product(basis, weights.bond_embedding)
    angles = _product(fourier(_angle(vectors, lengths, graph), weights.angle_frequencies), weights.angle_embedding)
    atom_weights = _product(basis, weights.atom_weights)
    bond_weights = _product(short_basis, weights.bond_weights)
    angled = _has_angles(crystals, graph)
    for layer in range(3):
        atoms = _convolve_atoms(weights.atom_convolutions[layer], atoms, bonds, atom_weights, graph)
        bonds = _convolve_bonds(weights.bond_convolutions[layer], atoms, bonds, angles, bond_weights, angled, graph)
        if layer < 2:
            angles = angles + _at_angles(weights.angle_updates[layer], atoms, bonds, angles, graph)
    moments = jnp.abs(_apply(weights.moment, atoms)[:, 0])
    atoms = _convolve_atoms(weights.atom_convolutions[3], atoms, bonds, atom_weights, graph)
    features = atoms
    if weights.readout_norm is not None:
        features = _standardise(weights.readout_norm, atoms - jnp.mean(atoms, axis=1, keepdims=True))
    energies = _perceptron(weights.readout, features) + weights.atom_reference[crystals.numbers - 1]
    return jnp.sum(energies), (energies, moments, features)


def _convolve_atoms(
    layer: Convolution,
    atoms: Float[Array, "atoms 64"],
    bonds: Float[Array, "bonds 64"],
    bond_weights: Float[Array, "bonds 64"],
    graph: Graph,
) -> Float[Array, "atoms 64"]:
    """Add to each atom the messages of its directed edges."""
    from_centre, from_bond, from_neighbour = layer.message.kernel
    ends = _product(atoms, jnp.concatenate([from_centre, from_neighbour], axis=1))
    middle = _product(bonds, from_bond) + layer.message.bias
    one, other = ends[graph.centre], ends[graph.neighbour]
    half = 2 * FEATURES
    forth = one[:, :half] + middle + other[:, half:]
    back = other[:, :half] + middle + one[:, half:]
    messages = _gate(layer.message, jnp.concatenate([forth, back])) * jnp.tile(bond_weights, (2, 1))
    sums = _sum_rows(messages, jnp.concatenate([graph.centre, graph.neighbour]), atoms.shape[0])
    return atoms + _apply(layer.out, sums)


def _convolve_bonds(
    layer: Convolution,
    atoms: Float[Array, "atoms 64"],
    bonds: Float[Array, "bonds 64"],
    angles: Float[Array, "angles 64"],
    bond_weights: Float[Array, "short 64"],
    angled: Float[Array, " bonds"],
    graph: Graph,
) -> Float[Array, "bonds 64"]:
    """Add to each short bond the messages of the angles at both of its ends; to all bonds the bias of release 0.2.0."""
    messages = _at_angles(layer.message, atoms, bonds, angles, graph) * jnp.tile(bond_weights, (2, 1))[graph.second]
    sums = _sum_rows(messages, graph.first, 2 * graph.short)
    sums = (sums[: graph.short] + sums[graph.short :]) * bond_weights
    if layer.out.bias is not None:
        bonds = bonds + angled[:, None] * layer.out.bias
    return bonds.at[: graph.short].add(_product(sums, layer.out.kernel))


def _has_angles(crystals: Crystals, graph: Graph) -> Float[Array, " bonds"]:
    """Return 1 for bonds of structures that have an angle: CHGNet skips the convolution of bonds in the others."""
    starts = jnp.concatenate([graph.centre[: graph.short], graph.neighbour[: graph.short]])
    owners = crystals.owner[starts[graph.first]]
    found = jnp.zeros(crystals.cells.shape[0] + 1, bool).at[owners].max(graph.real_angle)
    return found[crystals.owner[graph.centre]].astype(crystals.fractional.dtype)


def _at_angles(
    layer: GatedPerceptron,
    atoms: Float[Array, "atoms 64"],
    bonds: Float[Array, "bonds 64"],
    angles: Float[Array, "angles 64"],
    graph: Graph,
) -> Float[Array, "angles 64"]:
    """Apply a perceptron to first bond, second bond, angle and centre of every angle."""
    from_first, from_second, from_angle, from_centre = layer.kernel
    short = bonds[: graph.short]
    centre = jnp.concatenate([graph.centre[: graph.short], graph.neighbour[: graph.short]])
    first = jnp.tile(_product(short, from_first), (2, 1)) + _product(atoms, from_centre)[centre]
    second = jnp.tile(_product(short, from_second), (2, 1))
    return _gate(layer, first[graph.first] + second[graph.second] + _product(angles, from_angle) + layer.bias)


def _gate(layer: GatedPerceptron, inputs: Float[Array, "rows 128"]) -> Float[Array, "rows 64"]:
    """Finish a gated perceptron from the sum of its first layers."""
    core, gate = _branch(layer.core, inputs[:, :FEATURES]), _branch(layer.gate, inputs[:, FEATURES:])
    return jax.nn.silu(core) * jax.nn.sigmoid(gate)


def _branch(branch: Branch, inputs: Float[Array, "rows 64"]) -> Float[Array, "rows 64"]:
    if branch.hidden is not None:
        inputs = _apply(branch.hidden, jax.nn.silu(inputs))
    return inputs if branch.norm is None else _standardise(branch.norm, inputs)


def _perceptron(layers: tuple[Linear, ...], features: Float[Array, "atoms 64"]) -> Float[Array, " atoms"]:
    for layer in layers[:-1]:
        features = jax.nn.silu(_apply(layer, features))
    return _apply(layers[-1], features)[:, 0]


def _angle(vectors: Float[Array, "bonds 3"], lengths: Float[Array, " bonds"], graph: Graph) -> Float[Array, " angles"]:
    forth = vectors[: graph.short] / lengths[: graph.short, None]
    directions = jnp.concatenate([forth, -forth])
    return jnp.arccos(COSINE_SCALE * jnp.sum(directions[graph.first] * directions[graph.second], axis=1))


def _standardise(norm: LayerNorm, centred: Float[Array, "rows 64"]) -> Float[Array, "rows 64"]:
    variance = jnp.mean(centred**2, axis=1, keepdims=True)
    return centred * jax.lax.rsqrt(variance + 1e-5) * norm.scale + norm.shift


def _apply(linear: Linear, rows: Float[Array, "rows inputs"]) -> Float[Array, "rows outputs"]:
    product = _product(rows, linear.kernel)
    return product if linear.bias is None else product + linear.bias


def _product(rows: Float[Array, "rows inputs"], kernel: Float[Array, "inputs outputs"]) -> Float[Array, "rows outputs"]:
    """Multiply in full float32: TF32, a GPU's default, costs up to 1.2 meV/atom."""
    return jnp.matmul(rows, kernel, precision=jax.lax.Precision.HIGHEST)


def _sum_rows(rows: Float[Array, "rows columns"], owner: Array, owners: int) -> Float[Array, "owners columns"]:
    return jax.ops.segment_sum(rows, owner, num_segments=owners)

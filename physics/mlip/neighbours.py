"""Bonds and angles of a batch of periodic structures, found on the device with fixed shapes.

All structures of a batch are one concatenated graph. A ``vmap`` over structures padded to the largest would carry as
many bonds and angles for each structure as for the densest one; totals vary far less than single structures, so
capacities of the whole batch stay tight, and neither a CPU nor a GPU gains from a batch axis in gathers and sums.

Each undirected bond is one row. Direction 0 of bond ``b`` runs from ``centre[b]`` to ``neighbour[b]``, direction 1
back, so directed edge ``e`` of ``2 * bonds`` lies on bond ``e % bonds``, its reverse is ``(e + bonds) % (2 * bonds)``,
and nothing of an undirected bond is ever gathered to its two edges: it is repeated. Short bonds come first, so their
rows are a slice. Only pairs ``centre <= neighbour`` are tried; of an atom and its own images only those whose shift is
lexicographically positive, so a self-image and its opposite are one bond as well.

Padding is spread over many rows: sums into one row would wait for each other on a GPU (3.8 times slower in all).
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

UNREACHABLE = 10_000  # shift of images that are padding
FAR_A = 50.0  # length of the vector that padding gets: beyond every cutoff, so that its messages weigh nothing


class Crystals(eqx.Module):
    """Structures one after the other, then padding; a stack of batches has one more, leading axis.

    Attributes:
        numbers: atomic numbers; padding has 1.
        fractional: positions in units of the cell vectors; any image will do.
        owner: structure of each atom, ascending; padding has the number of structures.
        cells: cell vectors in rows, angstrom; structures that are padding have a cube.
        images: shifts to try, in units of the cell vectors, for pairs reduced to the nearest half of each vector; they
            reach the cutoff in every structure. Padding is far away.
    """

    numbers: Int[Array, "*stack atoms"]
    fractional: Float[Array, "*stack atoms 3"]
    owner: Int[Array, "*stack atoms"]
    cells: Float[Array, "*stack structures 3 3"]
    images: Int[Array, "*stack images 3"]


class Graph(eqx.Module):
    """Bonds and angles; the module says how rows are laid out.

    Attributes:
        centre: first atom of each bond; padding has padded atoms.
        neighbour: second atom.
        image: shift of the second atom, in units of the cell vectors, as its fractional coordinates stand.
        real: False for padding, which is at the end of the short bonds and at the end of all.
        first: directed short edge, of ``2 * short``, at each angle; ascending in its centre. Padding has padded edges.
        second: the other directed short edge on the same centre.
        real_angle: False for padding, which is at the end.
        overflow: whether a capacity was too small; then the graph must not be used.
        short: rows of short bonds, padding included.
    """

    centre: Int[Array, " bonds"]
    neighbour: Int[Array, " bonds"]
    image: Int[Array, "bonds 3"]
    real: Bool[Array, " bonds"]
    first: Int[Array, " angles"]
    second: Int[Array, " angles"]
    real_angle: Bool[Array, " angles"]
    overflow: Bool[Array, ""]
    short: int = eqx.field(static=True)


class Candidates(eqx.Module):
    """Bonds within cutoff and skin: all that can be within the cutoff until atoms have moved by half the skin.

    Attributes:
        first: one atom of each bond; padding has padded atoms.
        second: the other.
        shift: of the second atom, in units of the cell vectors, as fractional coordinates stood.
        real: False for padding, which is at the end.
        fractional: positions at the search.
        cells: cell vectors at the search.
        overflow: whether a capacity was too small, or the images do not reach the cutoff any more.
    """

    first: Int[Array, " candidates"]
    second: Int[Array, " candidates"]
    shift: Int[Array, "candidates 3"]
    real: Bool[Array, " candidates"]
    fractional: Float[Array, "atoms 3"]
    cells: Float[Array, "structures 3 3"]
    overflow: Bool[Array, ""]


class Capacities(eqx.Module):
    """Static sizes of a graph; `physics.mlip.batches` measures and rounds them.

    Attributes:
        pairs: pairs of atoms ``i <= j`` of one structure.
        bonds: undirected bonds.
        short: undirected short bonds, among the bonds; at least one more than there are.
        angles: ordered pairs of directed short edges on one centre.
    """

    pairs: int = eqx.field(static=True)
    bonds: int = eqx.field(static=True)
    short: int = eqx.field(static=True)
    angles: int = eqx.field(static=True)


def build_graph(
    crystals: Crystals, capacities: Capacities, atom_cutoff_a: float = 6.0, bond_cutoff_a: float = 3.0
) -> Graph:
    """Find bonds and angles within fixed capacities.

    Distances are compared in the precision of the positions. That is exact for a potential whose messages carry an
    envelope: a bond at the cutoff weighs nothing.

    Args:
        crystals: at least one atom must be padding.
        capacities: see there.
        atom_cutoff_a: reach of a bond, angstrom.
        bond_cutoff_a: reach of a short one.
    """
    candidates = search(crystals, capacities.pairs, capacities.bonds, atom_cutoff_a)
    return select(candidates, crystals, capacities, atom_cutoff_a, bond_cutoff_a)


def search(crystals: Crystals, pairs: int, capacity: int, cutoff_a: float) -> Candidates:
    """Try all pairs and images once.

    Args:
        crystals: at least one atom must be padding.
        pairs: capacity for pairs of atoms ``i <= j`` of one structure.
        capacity: for bonds.
        cutoff_a: cutoff and skin, angstrom.
    """
    first, second, known, overflow = paired_atoms(crystals, pairs)
    squared, is_tried = image_distances(crystals, first, second)
    within = known[:, None] & is_tried & (squared < cutoff_a**2)
    chosen, too_many = _positions(within.ravel(), capacity)
    real = chosen < within.size
    pair, image = jnp.divmod(jnp.minimum(chosen, within.size - 1), crystals.images.shape[0])
    nearest = jnp.round(crystals.fractional[second[pair]] - crystals.fractional[first[pair]]).astype(jnp.int32)
    shift = jnp.where(real[:, None], crystals.images[image] - nearest, 0)
    padding = _padded_atoms(crystals, capacity)
    first, second = (jnp.where(real, ends[pair], padding) for ends in (first, second))
    overflow = overflow | too_many | ~_images_reach(crystals, cutoff_a)
    return Candidates(first, second, shift, real, crystals.fractional, crystals.cells, overflow)


def paired_atoms(crystals: Crystals, capacity: int) -> tuple[Array, ...]:
    """Pair each atom with itself and all later ones of its structure.

    Returns:
        first and second atom; False for padding; whether there were more than the capacity.
    """
    atoms = crystals.owner.shape[0]
    end = jnp.searchsorted(crystals.owner, crystals.owner, side="right").astype(jnp.int32)
    index = jnp.arange(atoms, dtype=jnp.int32)
    partners = jnp.where(crystals.owner < crystals.cells.shape[0], end - index, 0)
    first, rank, known, overflow = _expand(partners, capacity)
    return first, jnp.minimum(first + rank, atoms - 1), known, overflow


def image_distances(
    crystals: Crystals, first: Int[Array, " pairs"], second: Int[Array, " pairs"]
) -> tuple[Float[Array, "pairs images"], Bool[Array, "pairs images"]]:
    """Return squared distances to every image of the second atom, and which of them are bonds of their own."""
    difference = crystals.fractional[second] - crystals.fractional[first]
    cells = crystals.cells[jnp.minimum(crystals.owner[first], crystals.cells.shape[0] - 1)]
    squared = _squared_lengths((difference - jnp.round(difference))[:, None, :] + crystals.images, cells[:, None])
    return squared, (first < second)[:, None] | _is_positive(crystals.images)


def select(
    candidates: Candidates, crystals: Crystals, capacities: Capacities, atom_cutoff_a: float, bond_cutoff_a: float
) -> Graph:
    """Return the graph of the candidates that are within the cutoffs now; as `build_graph` otherwise."""
    difference = crystals.fractional[candidates.second] - crystals.fractional[candidates.first] + candidates.shift
    owner = jnp.minimum(crystals.owner[candidates.first], crystals.cells.shape[0] - 1)
    squared = _squared_lengths(difference, crystals.cells[owner])
    found = candidates.real & (squared < atom_cutoff_a**2)
    is_short = found & (squared < bond_cutoff_a**2)
    short, short_overflow = _positions(is_short, capacities.short)
    long, long_overflow = _positions(found & ~is_short, capacities.bonds - capacities.short)
    order = jnp.concatenate([short, long])
    rows = candidates.first.shape[0]
    real, order = order < rows, jnp.minimum(order, rows - 1)
    padding = _padded_atoms(crystals, capacities.bonds)
    centre, neighbour = (jnp.where(real, ends[order], padding) for ends in (candidates.first, candidates.second))
    image = jnp.where(real[:, None], candidates.shift[order], 0)
    first, second, real_angle, angle_overflow = _angles(
        centre[: capacities.short],
        neighbour[: capacities.short],
        real[: capacities.short],
        crystals.owner.shape[0],
        capacities.angles,
    )
    overflow = candidates.overflow | short_overflow | long_overflow | angle_overflow
    return Graph(centre, neighbour, image, real, first, second, real_angle, overflow, capacities.short)


def outdated(candidates: Candidates, crystals: Crystals, cutoff_a: float, skin_a: float) -> Bool[Array, ""]:
    """Tell whether a bond may be within the cutoff that was beyond cutoff and skin at the search.

    A vector ``v`` between atoms becomes ``v (1 + strain) + displacement - displacement``, so it stays beyond the cutoff
    while ``(cutoff + skin) |strain| + 2 |displacement| <= skin``.
    """
    last = crystals.cells.shape[0] - 1
    owner = jnp.minimum(crystals.owner, last)
    moved = to_cartesian(crystals.fractional - candidates.fractional, crystals.cells[owner])
    displacement = jnp.zeros(last + 1, moved.dtype).at[owner].max(jnp.sqrt(jnp.sum(moved**2, axis=1)))
    change = crystals.cells - candidates.cells
    strain = jnp.sqrt(jnp.sum(matrix_product(inverse(candidates.cells), change) ** 2, axis=(1, 2)))
    return jnp.any((cutoff_a + skin_a) * strain + 2 * displacement > skin_a)


def inverse(cells: Float[Array, "structures 3 3"]) -> Float[Array, "structures 3 3"]:
    """Invert each cell by cross products: small batched factorisations are slow, and on a CPU can hang (`mfal`)."""
    a, b, c = cells[:, 0], cells[:, 1], cells[:, 2]
    rows = jnp.stack([jnp.cross(b, c), jnp.cross(c, a), jnp.cross(a, b)], axis=2)
    return rows / jnp.sum(a * rows[:, :, 0], axis=1)[:, None, None]


def cell_volumes(cells: Float[Array, "structures 3 3"]) -> Float[Array, " structures"]:
    """Return volumes, cubic angstrom, of cells of either hand."""
    return jnp.abs(jnp.sum(cells[:, 0] * jnp.cross(cells[:, 1], cells[:, 2]), axis=1))


def matrix_product(
    left: Float[Array, "structures 3 3"], right: Float[Array, "structures 3 3"]
) -> Float[Array, "structures 3 3"]:
    """Multiply the cells of each structure."""
    return to_cartesian(left, right[:, None])


def to_cartesian(difference: Float[Array, "*rows 3"], cells: Float[Array, "*broadcast 3 3"]) -> Float[Array, "*rows 3"]:
    """Multiply by each row's own cell; as a sum, because a GPU would round the factors of a product to TF32."""
    return sum(difference[..., axis, None] * cells[..., axis, :] for axis in range(3))  # pyright: ignore


def bond_vectors(crystals: Crystals, graph: Graph) -> Float[Array, "bonds 3"]:
    """Return the vectors from centre to neighbour, angstrom; padding has one beyond every cutoff."""
    difference = crystals.fractional[graph.neighbour] - crystals.fractional[graph.centre] + graph.image
    owner = jnp.minimum(crystals.owner[graph.centre], crystals.cells.shape[0] - 1)
    vectors = to_cartesian(difference, crystals.cells[owner])
    return jnp.where(graph.real[:, None], vectors, jnp.asarray([FAR_A, 0.0, 0.0], vectors.dtype))


def _angles(
    centre: Int[Array, " short"],
    neighbour: Int[Array, " short"],
    real: Bool[Array, " short"],
    atoms: int,
    capacity: int,
) -> tuple[Array, ...]:
    """Pair the directed short edges of each centre; an edge and its own reverse are a pair where both start there."""
    short = centre.shape[0]
    start_atom = jnp.where(jnp.tile(real, 2), jnp.concatenate([centre, neighbour]), atoms)  # padding is sorted last
    edge = jnp.argsort(start_atom, stable=True).astype(jnp.int32)
    start_atom = start_atom[edge]
    start = jnp.searchsorted(start_atom, start_atom, side="left").astype(jnp.int32)
    end = jnp.searchsorted(start_atom, start_atom, side="right").astype(jnp.int32)
    first, rank, known, overflow = _expand(jnp.where(start_atom < atoms, end - start - 1, 0), capacity)
    second = start[first] + rank
    second = jnp.minimum(second + (second >= first), 2 * short - 1)  # skips the edge itself
    padding = _spread(jnp.sum(real, dtype=jnp.int32), short, capacity)
    return jnp.where(known, edge[first], padding), jnp.where(known, edge[second], padding), known, overflow


def _expand(counts: Int[Array, " rows"], capacity: int) -> tuple[Array, ...]:
    """Repeat each row as often as its count says.

    Returns:
        row of each entry; its rank among the entries of that row; False for padding; whether the entries overflowed.
    """
    ends = jnp.cumsum(counts, dtype=jnp.int32)
    entry = jnp.arange(capacity, dtype=jnp.int32)
    row = jnp.minimum(jnp.searchsorted(ends, entry, side="right"), counts.shape[0] - 1).astype(jnp.int32)
    return row, entry - (ends - counts)[row], entry < ends[-1], ends[-1] > capacity


def _positions(chosen: Bool[Array, " rows"], capacity: int) -> tuple[Int[Array, " capacity"], Bool[Array, ""]]:
    """Return the indices of the chosen rows, then the number of rows as padding; and whether they overflowed.

    A binary search in the running count: ``jnp.nonzero`` would scatter every row, which a CPU does one by one.
    """
    count = jnp.cumsum(chosen, dtype=jnp.int32)
    wanted = jnp.arange(1, capacity + 1, dtype=jnp.int32)
    return jnp.searchsorted(count, wanted, side="left").astype(jnp.int32), count[-1] > capacity


def _spread(real: Int[Array, ""], rows: int, count: int) -> Int[Array, " count"]:
    """Return `count` indices that go round the rows behind the first `real` ones."""
    return real + jnp.arange(count, dtype=jnp.int32) % jnp.maximum(rows - real, 1)


def _padded_atoms(crystals: Crystals, count: int) -> Int[Array, " count"]:
    """Return `count` atoms that are padding."""
    real = jnp.sum(crystals.owner < crystals.cells.shape[0], dtype=jnp.int32)
    return _spread(real, crystals.owner.shape[0], count)


def _images_reach(crystals: Crystals, cutoff_a: float) -> Bool[Array, ""]:
    """Tell whether the images suffice: cells may have shrunk since they were chosen."""
    heights = 1 / jnp.sqrt(jnp.sum(inverse(crystals.cells) ** 2, axis=1))
    needed = jnp.floor(cutoff_a / heights + 0.5).astype(jnp.int32)
    there = jnp.max(jnp.where(crystals.images < UNREACHABLE, crystals.images, 0), axis=0)
    real = jnp.zeros(crystals.cells.shape[0] + 1, bool).at[crystals.owner].set(True)[:-1]
    return jnp.all((needed <= there) | ~real[:, None])


def _is_positive(shifts: Int[Array, "images 3"]) -> Bool[Array, " images"]:
    """Tell which shifts have a positive first non-zero component."""
    x, y, z = shifts.T
    return (x > 0) | ((x == 0) & ((y > 0) | ((y == 0) & (z > 0))))


def _squared_lengths(
    difference: Float[Array, "*rows 3"], cells: Float[Array, "*broadcast 3 3"]
) -> Float[Array, "*rows"]:
    return jnp.sum(to_cartesian(difference, cells) ** 2, axis=-1)

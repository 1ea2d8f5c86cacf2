"""One step of FIRE for many structures at once, each at its own pace.

Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006), with the constants of ASE. A structure's coordinates are
positions of its atoms and, where the cell moves, ``atoms x strain``, on which ``-volume x stress / atoms`` acts.
States wait on the host between two programs, so that their arrays may be of either kind.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

FIRST_TIME_STEP, LONGEST_TIME_STEP = 0.1, 1.0
LONGEST_STEP_A = 0.2  # of all coordinates of a structure together
MIXING, SHRINK_MIXING = 0.1, 0.99
PATIENCE, GROW, SHRINK = 5, 1.1, 0.5


class Velocities(eqx.Module):
    """A value for each atom and for each cell.

    Attributes:
        atoms: of the positions.
        cells: of ``atoms x strain``, symmetric.
    """

    atoms: Float[Any, "atoms 3"]
    cells: Float[Any, "structures 3 3"]


class Pace(eqx.Module):
    """How fast each structure may go.

    Attributes:
        time_step: of the next step.
        mixing: how far velocities are turned towards the forces.
        downhill: steps since the energy last rose along the velocities.
    """

    time_step: Float[Any, " structures"]
    mixing: Float[Any, " structures"]
    downhill: Int[Any, " structures"]


def step(
    velocities: Velocities,
    pace: Pace,
    forces: Velocities,
    owner: Int[Any, " atoms"],
    moves: Bool[Any, " structures"],
) -> tuple[Velocities, Pace, Velocities]:
    """Return velocities and pace after one step, and the step itself.

    Args:
        velocities: before.
        pace: before.
        forces: on the same coordinates, eV/angstrom.
        owner: structure of each atom; padding has the number of structures.
        moves: structures that take the step; nothing of the others changes.
    """
    power, squared_force, squared_speed = (
        _dot(one, other, owner) for one, other in ((forces, velocities), (forces, forces), (velocities, velocities))
    )
    is_uphill = (power <= 0) & (squared_speed > 0)
    grows = ~is_uphill & (pace.downhill > PATIENCE)
    towards_force = pace.mixing * jnp.sqrt(squared_speed / jnp.maximum(squared_force, 1e-30))
    keep = jnp.where(is_uphill, 0, 1 - pace.mixing)
    turn = jnp.where(is_uphill, 0, towards_force)
    time_step = jnp.where(
        is_uphill,
        pace.time_step * SHRINK,
        jnp.where(grows, jnp.minimum(pace.time_step * GROW, LONGEST_TIME_STEP), pace.time_step),
    )
    fresh = _sum(_scaled(velocities, keep, owner), _scaled(forces, turn + time_step, owner))
    length = time_step * jnp.sqrt(_dot(fresh, fresh, owner))
    taken = _scaled(fresh, time_step * jnp.minimum(1, LONGEST_STEP_A / jnp.maximum(length, 1e-30)), owner)
    mixing = jnp.where(is_uphill, MIXING, jnp.where(grows, pace.mixing * SHRINK_MIXING, pace.mixing))
    downhill = jnp.where(is_uphill, 0, pace.downhill + (squared_speed > 0).astype(jnp.int32))
    return (
        _choose(moves, fresh, velocities, owner),
        jax.tree.map(lambda new, old: jnp.where(moves, new, old), Pace(time_step, mixing, downhill), pace),
        _choose(moves, taken, jax.tree.map(jnp.zeros_like, velocities), owner),
    )


def _dot(one: Velocities, other: Velocities, owner: Int[Any, " atoms"]) -> Float[Array, " structures"]:
    structures = one.cells.shape[0]
    of_atoms = jax.ops.segment_sum(jnp.sum(one.atoms * other.atoms, axis=1), owner, num_segments=structures + 1)
    return of_atoms[:structures] + jnp.sum(one.cells * other.cells, axis=(1, 2))


def _scaled(one: Velocities, factor: Float[Array, " structures"], owner: Int[Any, " atoms"]) -> Velocities:
    of_atoms = factor[jnp.minimum(owner, factor.shape[0] - 1)]
    return Velocities(one.atoms * of_atoms[:, None], one.cells * factor[:, None, None])


def _sum(one: Velocities, other: Velocities) -> Velocities:
    return Velocities(one.atoms + other.atoms, one.cells + other.cells)


def _choose(
    where: Bool[Any, " structures"], one: Velocities, other: Velocities, owner: Int[Any, " atoms"]
) -> Velocities:
    """Select, not multiply: what is not chosen may be NaN."""
    atoms = (where[jnp.minimum(owner, where.shape[0] - 1)] & (owner < where.shape[0]))[:, None]
    return Velocities(jnp.where(atoms, one.atoms, other.atoms), jnp.where(where[:, None, None], one.cells, other.cells))

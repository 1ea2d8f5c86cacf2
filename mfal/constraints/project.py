"""Exact Euclidean projections onto bounded simplices and onto polyhedra, row by row, for any batch.

Which conditions bind is found first, by a finite algorithm; given these, the nearest point is affine in the row. So its
derivative is that of the affine map (the implicit function theorem on the Karush-Kuhn-Tucker conditions; an element of
the generalised Jacobian where the binding set changes), and no derivative passes through the search.
"""

import equinox as eqx
import jax
import jax.numpy as jnp

from mfal.types import Array, Bool, Float, Int

# Sums this close to their total, in units of rounding, are left as they are: projecting twice then changes no bit.
ULPS = 4.0


class Polyhedron(eqx.Module):
    """The points centre + hull z, within bounds, whose z satisfy normals z >= offsets.

    Attributes:
        lower: least values; rows of `normals` repeat those that can bind.
        upper: greatest values.
        equal: equalities in the full space, linearly independent.
        totals: their values.
        centre: a point that satisfies all.
        hull: orthonormal basis of the affine hull.
        normals: unit normals within the hull.
        offsets: signed distances of the faces from the centre.
    """

    lower: Float[Array, " d"]
    upper: Float[Array, " d"]
    equal: Float[Array, "p d"]
    totals: Float[Array, " p"]
    centre: Float[Array, " d"]
    hull: Float[Array, "d k"]
    normals: Float[Array, "f k"]
    offsets: Float[Array, " f"]


def onto_simplex(
    x: Float[Array, " d"], lower: Float[Array, " d"], upper: Float[Array, " d"], total: Float[Array, ""]
) -> Float[Array, " d"]:
    """Return the nearest y with lower <= y <= upper and sum y = total.

    y = clip(x - t), and its sum is piecewise linear in t and falls: the two breakpoints around the total bracket t,
    which is then the solution of a linear equation. Source: Kiwiel 2008 (Math. Program. 112, 473), without the median
    search, which does not vectorise.
    """
    frozen = jax.lax.stop_gradient(x)
    shift, free = _shift(frozen, lower, upper, total)
    y = jnp.clip(frozen - shift, lower, upper)
    count = jnp.maximum(jnp.sum(free), 1)
    y = jnp.clip(y + free * (total - jnp.sum(y)) / count, lower, upper)
    met = jnp.abs(jnp.sum(frozen) - total) <= _rounding(total)
    inside = jnp.all(frozen >= lower) & jnp.all(frozen <= upper) & met
    y = jnp.where(inside, frozen, closed(y, lower, upper, total))
    change = x - frozen
    return y + free * (change - jnp.sum(free * change) / count)


def closed(
    y: Float[Array, " d"], lower: Float[Array, " d"], upper: Float[Array, " d"], total: Float[Array, ""]
) -> Float[Array, " d"]:
    """Return the point with the rounding of its sum added to the component that has most room: nothing is rescaled."""
    roomiest = jnp.argmax(jnp.minimum(y - lower, upper - y))
    gap = jnp.where(jnp.arange(y.shape[0]) == roomiest, total - jnp.sum(y), 0.0)
    return jnp.clip(y + gap, lower, upper)


def onto_polyhedron(x: Float[Array, " d"], polyhedron: Polyhedron) -> Float[Array, " d"]:
    """Return the nearest point of a polyhedron.

    Source: the dual active-set method of Goldfarb and Idnani 1983 (Math. Program. 27, 1), in an orthonormal basis of
    the affine hull, where the metric is the identity and at most k conditions bind.
    """
    frozen, hull = jax.lax.stop_gradient(x), polyhedron.hull
    z, binding = _nearest(hull.T @ (frozen - polyhedron.centre), polyhedron.normals, polyhedron.offsets)
    # What the rounding of a far row has left outside.
    z, _ = _nearest(z, polyhedron.normals, polyhedron.offsets)
    y = polyhedron.centre + hull @ z
    y = jnp.where(_holds(frozen, polyhedron), frozen, on_planes(y, polyhedron))
    along = hull.T @ (x - frozen)
    return y + hull @ (along - binding.T @ _multipliers(binding, binding @ along))


def on_planes(y: Float[Array, " d"], polyhedron: Polyhedron) -> Float[Array, " d"]:
    """Return a point that rounding took off bounds and equalities, put back: each component moves as it has room."""
    lower, upper, equal = polyhedron.lower, polyhedron.upper, polyhedron.equal

    def step(_: Array, y: Array) -> Array:
        room = jnp.maximum(jnp.minimum(y - lower, upper - y), 0.0)
        gram = (equal * room) @ equal.T
        ridge = _RIDGE * (jnp.trace(gram) + _RIDGE) * jnp.eye(gram.shape[0])
        return jnp.clip(
            y + room * (equal.T @ jnp.linalg.solve(gram + ridge, polyhedron.totals - equal @ y)), lower, upper
        )

    return jax.lax.fori_loop(0, 2, step, jnp.clip(y, lower, upper)) if equal.shape[0] else jnp.clip(y, lower, upper)


_RIDGE = 1e-9
# Unit normals: a condition is violated, and a normal independent of the binding ones, beyond these; the first grows
# with the distance of the row, whose rounding is no violation.
_VIOLATED, _INDEPENDENT = 1e-13, 1e-14


def _rounding(total: Float[Array, "..."]) -> Float[Array, "..."]:
    return ULPS * jnp.finfo(jnp.float64).eps * jnp.maximum(jnp.abs(total), 1.0)


def _shift(
    x: Float[Array, " d"], lower: Float[Array, " d"], upper: Float[Array, " d"], total: Float[Array, ""]
) -> tuple[Float[Array, ""], Bool[Array, " d"]]:
    """Return t and which components are strictly between their bounds."""
    breaks = jnp.concatenate([x - lower, x - upper])
    sums = jnp.sum(jnp.clip(x - breaks[:, None], lower, upper), axis=1)
    left = jnp.max(jnp.where(sums >= total, breaks, jnp.min(breaks)))
    right = jnp.min(jnp.where(sums <= total, breaks, jnp.max(breaks)))
    middle = 0.5 * (left + right)
    free = (x - middle > lower) & (x - middle < upper)
    pinned = jnp.sum(jnp.where(free, x, jnp.clip(x - middle, lower, upper))) - total
    return jnp.where(free.any(), pinned / jnp.maximum(jnp.sum(free), 1), middle), free


def _holds(x: Float[Array, " d"], polyhedron: Polyhedron) -> Bool[Array, ""]:
    """Return whether a point satisfies everything to rounding, its bounds exactly."""
    bounded = jnp.all(x >= polyhedron.lower) & jnp.all(x <= polyhedron.upper)
    met = jnp.all(jnp.abs(polyhedron.equal @ x - polyhedron.totals) <= _rounding(polyhedron.totals))
    z = polyhedron.hull.T @ (x - polyhedron.centre)
    return bounded & met & jnp.all(polyhedron.normals @ z - polyhedron.offsets >= -_VIOLATED)


class _Search(eqx.Module):
    """Where the dual method stands: `slots` of binding conditions, and the violated one that is being added."""

    z: Float[Array, " k"]
    slots: Int[Array, " k"]
    used: Bool[Array, " k"]
    multipliers: Float[Array, " k"]
    entering: Int[Array, ""]
    multiplier: Float[Array, ""]
    steps: Int[Array, ""]
    finished: Bool[Array, ""]


def _nearest(
    start: Float[Array, " k"], normals: Float[Array, "f k"], offsets: Float[Array, " f"]
) -> tuple[Float[Array, " k"], Float[Array, "k k"]]:
    """Return the nearest z with normals z >= offsets and the binding normals, zero rows where fewer than k bind."""
    size = start.shape[0]
    if not size or not offsets.shape[0]:
        return start, jnp.zeros((size, size))
    none, zero = jnp.zeros(size), jnp.zeros(())
    begin = _Search(
        start, none.astype(int), none > 1.0, none, jnp.asarray(-1), zero, jnp.asarray(0), jnp.asarray(False)
    )
    violated = _VIOLATED * jnp.maximum(1.0, jnp.max(jnp.abs(start)))
    unfinished = lambda search: ~search.finished & (search.steps < 10 * offsets.shape[0])  # noqa: E731
    end = jax.lax.while_loop(unfinished, lambda search: _step(search, normals, offsets, violated), begin)
    # From the row itself once more, because the steps have added up their rounding; then off the rounding of a far row.
    binding = jnp.where(end.used[:, None], normals[end.slots], 0.0)
    z = start
    for _ in range(2):
        z = z + binding.T @ _multipliers(binding, jnp.where(end.used, offsets[end.slots] - binding @ z, 0.0))
    return z, binding


def _step(
    search: _Search, normals: Float[Array, "f k"], offsets: Float[Array, " f"], violated: Float[Array, ""]
) -> _Search:
    """Add the most violated condition, or drop one that stands in its way."""
    slack = normals @ search.z - offsets
    adding = search.entering < 0
    entering = jnp.where(adding, jnp.argmin(slack), search.entering)
    finished = adding & (slack[entering] >= -violated)
    binding = jnp.where(search.used[:, None], normals[search.slots], 0.0)
    falls = _multipliers(binding, binding @ normals[entering])
    direction = normals[entering] - binding.T @ falls
    curvature = direction @ direction
    limits = jnp.where(search.used & (falls > 0.0), search.multipliers / jnp.where(falls > 0.0, falls, 1.0), jnp.inf)
    leaving, partial = jnp.argmin(limits), jnp.min(limits)
    full = jnp.where(curvature > _INDEPENDENT, -slack[entering] / jnp.maximum(curvature, _INDEPENDENT), jnp.inf)
    length = jnp.minimum(partial, full)
    # No condition can be dropped for one that cannot be met: the polyhedron is empty, which its builder refuses.
    finished = finished | ~jnp.isfinite(length)
    return _moved(search, entering, direction, falls, length, full <= partial, leaving, finished)


def _moved(
    search: _Search,
    entering: Int[Array, ""],
    direction: Float[Array, " k"],
    falls: Float[Array, " k"],
    length: Float[Array, ""],
    full: Bool[Array, ""],
    leaving: Int[Array, ""],
    finished: Bool[Array, ""],
) -> _Search:
    """Return the search after a step: in full the entering condition binds, in part the leaving one no longer does."""
    length = jnp.where(finished, 0.0, length)
    rank = jnp.arange(search.used.shape[0])
    taken = full & ~finished & (rank == jnp.argmin(search.used))
    dropped = ~full & ~finished & (rank == leaving)
    multiplier = search.multiplier + length
    return _Search(
        z=search.z + length * direction,
        slots=jnp.where(taken, entering, search.slots),
        used=(search.used | taken) & ~dropped,
        multipliers=jnp.where(taken, multiplier, jnp.where(dropped, 0.0, search.multipliers - length * falls)),
        entering=jnp.where(full, -1, entering),
        multiplier=jnp.where(full, 0.0, multiplier),
        steps=search.steps + 1,
        finished=finished,
    )


def _multipliers(binding: Float[Array, "k k"], gap: Float[Array, " k"]) -> Float[Array, " k"]:
    """Return the combination of binding normals that closes a gap along them; rows of zeros take no part."""
    used = jnp.any(binding != 0.0, axis=1)
    gram = binding @ binding.T + jnp.diag(jnp.where(used, 0.0, 1.0))
    return jnp.where(used, jnp.linalg.solve(gram, gap), 0.0)

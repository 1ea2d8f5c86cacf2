"""Stiffness of grains by a network for the displacements: fitted to data and weak equilibrium, then polished.

The strain is the symmetric gradient of one field, so that it is compatible whatever the network does. Across the
boundary of two grains that gradient jumps, which no smooth network can follow: beside the place of a node it reads one
bubble for each grain. The network is fitted to the displacements, then the stiffness to weak equilibrium of the network
(the virtual fields method: Pierron and Grediac 2012), then both to both. The polish, from there, maximises the one
log-posterior; where it moves the stiffness far, the network had a small loss and the wrong stiffness.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray
from scipy.optimize import least_squares

from pinn.stiffness import solver
from pinn.stiffness.bubbles import bubbles
from pinn.stiffness.data import affine_part
from pinn.stiffness.equilibrium import Equilibrium
from pinn.stiffness.weak_form import WeakForm, weak_form
from pinn.training.balance import noise_sd, weighted
from pinn.training.envelope import Free
from pinn.training.features import BoxFeatures
from pinn.training.first_order import Schedule, adam
from pinn.training.least_squares import Term, term
from pinn.training.network import NetworkField, perceptron_field


@dataclass(frozen=True)
class Plan:
    """How a network is fitted to a window.

    Attributes:
        hidden: widths of its layers.
        pretraining: on the displacements alone.
        penalties: of a residual of equilibrium, one a round, relative to the weight of a displacement.
        joint: training of weights and stiffness together in a round.
    """

    hidden: tuple[int, ...]
    pretraining: Schedule
    penalties: tuple[float, ...]
    joint: Schedule


# In a round each step takes the whole field, of which all residuals are made at once.
_WHOLE = 10**9
PLAN = Plan((32, 32, 32), Schedule(15000, 1e-2, 1024), (0.3, 1.0), Schedule(2000, 2e-3, _WHOLE))


def maximise(
    equilibrium: Equilibrium, start: Float[np.ndarray, " p"], progress: Callable[[float], None], key: PRNGKeyArray
) -> solver.Maximum:
    """Return the maximum of the log-posterior by the network and a polish through the solver, told from where."""
    found = network_fit(equilibrium, start, PLAN, progress, key)
    return replace(solver.maximise(equilibrium, found, progress), before=found)


def network_fit(
    equilibrium: Equilibrium,
    start: Float[np.ndarray, " p"],
    plan: Plan,
    progress: Callable[[float], None],
    key: PRNGKeyArray,
) -> Float[np.ndarray, " p"]:
    """Return the free numbers that the network alone finds; `progress` is told the objective after each stage."""
    build, train, *rounds = jax.random.split(key, 2 + len(plan.penalties))
    scene, weights = _scene(equilibrium, plan.hidden, build)
    single = scene.single(equilibrium)
    unknowns = jnp.concatenate([jnp.asarray(start), weights])
    unknowns, curve = adam([single], unknowns, plan.pretraining, train)
    progress(float(curve[-1]))
    unknowns = scene.with_stiffness_of_weak_form(unknowns)
    data, scale = scene.whole(single), float(jnp.std(single.samples[:, -1]))
    for penalty, key in zip(plan.penalties, rounds, strict=True):
        noise = noise_sd(data, unknowns, scale)
        terms = [weighted(data, noise), *scene.forces(), scene.balance(penalty / noise)]
        unknowns, curve = adam(terms, unknowns, plan.joint, key)
        progress(float(curve[-1]))
    return np.asarray(unknowns[: start.size])


@final
class Scene(eqx.Module):
    """Residuals of a window; unknowns are the model's free numbers, then weights.

    Displacements are in units of their noise, forces of that noise times the first guess of the stiffness.

    Attributes:
        field: fluctuations of all loads at a point, over their size.
        points: place and bubbles of each node.
        affine: part of the displacements that is taken off before, shape (nodes, loads times axes).
        size: of the fluctuations, shape (loads times axes,).
        weak: equilibrium.
        measured: forces, and their standard deviation.
        precision: of the free numbers before the data.
        grain_stiffness: of free numbers, in a window of so many axes.
    """

    field: NetworkField
    points: Float[Array, "nodes features"]
    affine: Float[Array, "nodes outputs"]
    size: Float[Array, " outputs"]
    weak: WeakForm
    measured: Float[Array, "forces 2"]
    precision: Float[Array, " p"]
    grain_stiffness: Callable[[Float[Array, " p"], int], Float[Array, "grains m m"]] = eqx.field(static=True)

    @property
    def count(self) -> int:
        """How many free numbers there are."""
        return self.precision.size

    @property
    def loads(self) -> int:
        """How many loads there are."""
        return self.size.size // self.weak.dimension

    def displacements(self, unknowns: Float[Array, " unknowns"]) -> Float[Array, "mesh_unknowns loads"]:
        """Return the displacements of all nodes under all loads."""
        values = jax.vmap(self.field, (None, 0))(unknowns[self.count :], self.points)
        moved = (self.affine + self.size[None] * values).reshape(len(self.points), self.loads, -1)
        return jnp.moveaxis(moved, 1, -1).reshape(-1, self.loads)

    def stiffness(self, unknowns: Float[Array, " unknowns"]) -> Float[Array, "grains m m"]:
        """Return the stiffness of each grain in the axes of the window."""
        return self.grain_stiffness(unknowns[: self.count], self.weak.dimension)

    def misfit(self, unknowns: Float[Array, " unknowns"], datum: Float[Array, " 3"]) -> Float[Array, ""]:
        """Return a displacement minus its datum, of one point; a datum is node, output, value."""
        node, output = datum[:2].astype(int)
        value = self.field(unknowns[self.count :], self.points[node])[output]
        return self.affine[node, output] + self.size[output] * value - datum[2]

    def single(self, equilibrium: Equilibrium) -> Term:
        """Return the displacements that were seen, point by point."""
        samples = []
        for load, observed in enumerate(equilibrium.observed):
            seen = np.flatnonzero(observed.weights[: equilibrium.mesh.unknowns] == 1.0)
            node, axis = np.divmod(seen, self.weak.dimension)
            samples.append(np.column_stack([node, load * self.weak.dimension + axis, observed.values[seen]]))
        return term(self.misfit, jnp.asarray(np.concatenate(samples)), 1.0)

    def whole(self, single: Term) -> Term:
        """Return the same displacements as parts of one field."""
        node, output, values = single.samples.T
        load, axis = jnp.divmod(output, self.weak.dimension)
        place = (node * self.weak.dimension + axis) * self.loads + load
        return term(_Entry(self._displacements), jnp.stack([place, values], 1), 1.0)

    def forces(self) -> list[Term]:
        """Return the measured forces, in units of their errors; no term where there are none."""
        wanted = self.measured[:, 0] / self.measured[:, 1]
        samples = jnp.stack([jnp.arange(wanted.size, dtype=float), wanted], 1)
        return [term(_Entry(self._forces), samples, 1.0)] if wanted.size else []

    def balance(self, penalty: Float[Array, ""]) -> Term:
        """Return the residuals of weak equilibrium."""
        numbers = jnp.arange(self.weak.residuals(self.loads), dtype=float)
        return term(_Entry(self._imbalance), jnp.stack([numbers, jnp.zeros_like(numbers)], 1), penalty)

    def with_stiffness_of_weak_form(self, unknowns: Float[Array, " unknowns"]) -> Float[Array, " unknowns"]:
        """Return the unknowns with the free numbers that the displacements, held as they are, are nearest to."""
        moved = self.displacements(unknowns)

        def rows(numbers: Float[Array, " p"]) -> Float[Array, " rows"]:
            stiffness = self.grain_stiffness(numbers, self.weak.dimension)
            off = (self.weak.face_forces(moved, stiffness) - self.measured[:, 0]) / self.measured[:, 1]
            return jnp.concatenate([self.weak.imbalance(moved, stiffness), off, jnp.sqrt(self.precision) * numbers])

        start = np.asarray(unknowns[: self.count])
        # The stubs know of names for finite differences only.
        slopes: Any = jax.jit(jax.jacfwd(rows))
        found = least_squares(jax.jit(rows), start, slopes, max_nfev=50)
        return unknowns.at[: self.count].set(found.x)

    def _displacements(self, unknowns: Float[Array, " unknowns"]) -> Float[Array, " n"]:
        return self.displacements(unknowns).ravel()

    def _forces(self, unknowns: Float[Array, " unknowns"]) -> Float[Array, " forces"]:
        return self.weak.face_forces(self.displacements(unknowns), self.stiffness(unknowns)) / self.measured[:, 1]

    def _imbalance(self, unknowns: Float[Array, " unknowns"]) -> Float[Array, " residuals"]:
        return self.weak.imbalance(self.displacements(unknowns), self.stiffness(unknowns))


@final
class _Entry(eqx.Module):
    """One entry of a vector of residuals minus a datum; a sample is its number and the datum.

    Mapped over samples, the vector is made once, where rows of their own would each make the whole field.
    """

    vector: Callable[[Float[Array, " unknowns"]], Float[Array, " n"]]

    def __call__(self, unknowns: Float[Array, " unknowns"], sample: Float[Array, " 2"]) -> Float[Array, ""]:
        return self.vector(unknowns)[sample[0].astype(int)] - sample[1]


def _scene(
    equilibrium: Equilibrium, hidden: tuple[int, ...], key: PRNGKeyArray
) -> tuple[Scene, Float[Array, " weights"]]:
    fields, mesh, unit = equilibrium.fields, equilibrium.mesh, equilibrium.noise_sd
    places = np.stack(np.unravel_index(np.arange(int(np.prod(mesh.nodes))), mesh.nodes), -1).astype(float)
    own = bubbles(fields.grain_map).reshape(-1, len(places)).T
    affine = [affine_part(load.displacement)[0] for load in fields.loads]
    sizes = np.array([np.nanstd(load.displacement - part) for load, part in zip(fields.loads, affine, strict=True)])
    grains, outputs = own.shape[1], len(fields.loads) * mesh.dimension
    # Bubbles are between 0 and 1 as they are.
    features = BoxFeatures((0.0,) * mesh.dimension + (-1.0,) * grains, (*map(float, mesh.cells), *(1.0,) * grains))
    field, weights = perceptron_field(features, Free(), hidden, outputs, key)
    forces = [np.stack([o.values, o.weights**-0.5], 1)[len(o.values) - o.forces :] for o in equilibrium.observed]
    scene = Scene(
        field,
        jnp.asarray(np.column_stack([places, own])),
        jnp.asarray(np.concatenate([part.reshape(mesh.dimension, -1) for part in affine]).T / unit),
        jnp.asarray(np.repeat(np.maximum(sizes / unit, 1.0), mesh.dimension)),
        weak_form(equilibrium),
        jnp.asarray(np.concatenate(forces)),
        jnp.asarray(equilibrium.model.prior_precision),
        # A bound method is the same only for the same model, where two models could not even be compared.
        equilibrium.model.grain_stiffness,
    )
    return scene, weights

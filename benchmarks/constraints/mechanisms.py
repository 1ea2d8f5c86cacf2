"""Three ways to keep a regression on the simplex, side by side: built in, projected, penalised.

The task is real: the composition of an alloy from ten descriptors of it (means and deviations of elemental properties),
as when a wanted combination of properties is turned back into a recipe. The alloys are those of the MPEA table; a fifth
of the chemical systems is held out. All networks are alike but for what is done about the constraints:

- `built_in`: a softmax head;
- `penalty` and `strong_penalty`: free outputs, with 10 or 1000 times the squared distance to the simplex in the loss;
  used as they are, and projected: train soft, deploy hard;
- `projection`: free outputs trained on the error alone; used as they are, and projected afterwards;
- `through`: free outputs trained through the projection, which has a derivative.

A composition is invalid if it is further than a thousandth from a face or from the plane of the simplex: a fraction of
-0.1 %, or a sum of 1.006 of 30 elements. The distance is Euclidean, to the nearest composition.
The error is the mean absolute one of a fraction of a held-out alloy, of a seed's network; times are of the step from
free outputs to fractions.
"""

from collections.abc import Callable
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from benchmarks.constraints.repeats import interval
from benchmarks.decisions.tasks import mpea
from benchmarks.timing import seconds_of
from mfal.constraints.base import feasible
from mfal.constraints.polytope import Polytope
from mfal.errors import ConstraintError
from mfal.generate.corpus import Corpus
from mfal.generate.heads import SimplexHead
from mfal.generate.network import Perceptron
from mfal.generate.training import Schedule, fitted
from mfal.space.features import composition_descriptors
from mfal.space.formula import Formula
from mfal.types import Array, Float

_TOLERANCE, _HIDDEN = 1e-3, 64
_TIMED = 100_000

Map = Callable[[Array], Array]


@dataclass(frozen=True)
class Task:
    """Standardised descriptors and fractions, and which alloys are held out."""

    descriptors: np.ndarray
    fractions: np.ndarray
    held_out: np.ndarray


class Mechanism(eqx.Module):
    """What training compares with data, how much it pays for leaving the simplex, and what may be deployed."""

    width: int = eqx.field(static=True)
    outputs: Map
    penalty: float = eqx.field(static=True)
    deployed: dict[str, Map]


def measure_mechanisms(smoke: bool) -> dict[str, float]:
    """Return errors, invalid shares and times of each mechanism.

    Raises:
        DataMissingError: MFAL_DATA does not name a folder with mpea.csv.
    """
    seeds, schedule = (1, Schedule(steps=300)) if smoke else (5, Schedule(steps=6000))
    corpus = alloys()
    simplex = Polytope.simplex(corpus.elements)
    every = mechanisms(simplex)
    figures: dict[str, float] = {}
    for name, mechanism in every.items():
        runs = [_run(task(corpus, seed), mechanism, simplex, schedule, seed) for seed in range(seeds)]
        for key in runs[0]:
            figures |= interval(f"mechanism_{name}{key}", [run[key] for run in runs])
    return figures | _times(every, 1000 if smoke else _TIMED)


def mechanisms(simplex: Polytope) -> dict[str, Mechanism]:
    """Return what is compared."""
    size = len(simplex.names)
    head = SimplexHead.of(size)
    as_is: Map = lambda z: z  # noqa: E731
    both = {"": as_is, "_projected": simplex.project}
    return {
        "built_in": Mechanism(head.width, head.outputs, 0.0, {"": head.fractions}),
        "penalty": Mechanism(size, as_is, 10.0, both),
        "strong_penalty": Mechanism(size, as_is, 1000.0, both),
        "projection": Mechanism(size, as_is, 0.0, both),
        "through": Mechanism(size, simplex.project, 0.0, {"": simplex.project}),
    }


def alloys() -> Corpus:
    """Return the alloys of the MPEA table, each composition once."""
    return Corpus.of([text for text in dict.fromkeys(mpea()["FORMULA"]) if _is_formula(text)])


def task(corpus: Corpus, seed: int) -> Task:
    """Return the regression with a fifth of the chemical systems held out."""
    systems = np.array(["-".join(sorted(Formula.parse(text).amounts)) for text in corpus.formulas])
    names = np.unique(systems)
    chosen = np.random.default_rng(seed).permutation(names)[: len(names) // 5]
    raw, _ = composition_descriptors(corpus.formulas)
    held_out = np.isin(systems, chosen)
    centre, spread = raw[~held_out].mean(axis=0), raw[~held_out].std(axis=0)
    return Task((raw - centre) / spread, corpus.fractions, held_out)


def _is_formula(text: str) -> bool:
    try:
        Formula.parse(text)
    except ConstraintError:
        return False
    return True


def _run(task: Task, mechanism: Mechanism, simplex: Polytope, schedule: Schedule, seed: int) -> dict[str, float]:
    train, test = ~task.held_out, task.held_out
    data = jnp.asarray(np.column_stack([task.descriptors, task.fractions]))
    free = _trained(data[train], task.descriptors.shape[1], mechanism, simplex, schedule, jax.random.key(seed))
    z, truth = free(data[test, : task.descriptors.shape[1]]), jnp.asarray(task.fractions[test])
    found: dict[str, float] = {}
    for name, deploy in mechanism.deployed.items():
        y = deploy(z)
        found[f"{name}_error"] = float(jnp.mean(jnp.abs(y - truth)))
        found[f"{name}_distance"] = float(jnp.mean(jnp.linalg.norm(simplex.project(y) - y, axis=1)))
        found[f"{name}_invalid"] = 1.0 - float(jnp.mean(feasible(simplex, y, _TOLERANCE)))
    return found


@eqx.filter_jit
def _trained(
    data: Float[Array, "n c"], inputs: int, mechanism: Mechanism, simplex: Polytope, schedule: Schedule, key: Array
) -> Map:
    """Return the network from descriptors to free outputs."""
    first, rest = jax.random.split(key)
    network = Perceptron((inputs, _HIDDEN, _HIDDEN, mechanism.width), nnx.Rngs(first))
    graph, start = nnx.split(network, nnx.Param)

    def loss(parameters: nnx.State, batch: Array, key: Array) -> Array:
        y = mechanism.outputs(nnx.merge(graph, parameters)(batch[:, :inputs]))
        misfit = jnp.mean(jnp.sum((y - batch[:, inputs:]) ** 2, axis=1))
        # No gradient of the projection is needed: that of the squared distance is twice the way back.
        back = y - jax.lax.stop_gradient(simplex.project(y))
        return misfit + mechanism.penalty * jnp.mean(jnp.sum(back**2, axis=1))

    parameters, _ = fitted(loss, start, data, schedule, rest)
    return eqx.Partial(_applied, graph, parameters)


def _applied(graph: nnx.GraphDef, parameters: nnx.State, x: Array) -> Array:
    return nnx.merge(graph, parameters)(x)


def _times(every: dict[str, Mechanism], rows: int) -> dict[str, float]:
    """Return the seconds that 1e5 outputs take from free numbers to fractions, compiled."""
    found = {}
    for name, mechanism in (("built_in", every["built_in"]), ("projection", every["projection"])):
        z = jax.random.normal(jax.random.key(0), (rows, mechanism.width)) / mechanism.width
        deploy = eqx.filter_jit(list(mechanism.deployed.values())[-1])
        jax.block_until_ready(deploy(z))
        seconds = seconds_of(lambda deploy=deploy, z=z: jax.block_until_ready(deploy(z)), repeats=3)
        found[f"mechanism_{name}_s_per_1e5"] = round(seconds * 1e5 / rows, 4)
    return found

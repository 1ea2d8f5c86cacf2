"""The same Bayesian optimisation of an alloy in two design spaces: the simplex, and a box normalised by hand.

Both arms share surrogate, fit, expected improvement, ascents and budget, and differ only in the recipes that they may
propose. What a recipe is: the amounts that the optimiser asks to be weighed. In the box they do not sum to one; the
alloy made is the recipe divided by its sum. The optimiser is then told the answer either at its own recipe (`told raw`,
what happens where the normalisation is the laboratory's) or at the alloy (`told corrected`).
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from mfal.acquisition.improvement import expected_improvement
from mfal.acquisition.optimise import maximise
from mfal.constraints.linear import Bounds, LinearEquality
from mfal.constraints.polytope import Polytope
from mfal.surrogate.designs import DesignGP, Designs
from mfal.types import Array, Bool, Float, PRNGKeyArray

STARTS, SCREENED = 16, 256
# A recipe may be off by what a balance leaves open: .1 mg for each of some tens of mg, so .1 at.% of the sum.
WEIGHING = 1e-3
# Alloys this close to a bound count as within it.
ROUNDING = 1e-9


class DesignSpace(eqx.Module):
    """The recipes that an optimiser may propose.

    Attributes:
        recipes: all of them.
        told_alloy: the optimiser is told the alloy that was made, instead of its own recipe.
    """

    recipes: Polytope
    told_alloy: bool = eqx.field(static=True)

    @staticmethod
    def simplex(lower: np.ndarray, upper: np.ndarray) -> "DesignSpace":
        """Return the compositions between element bounds."""
        names = _names(lower)
        return DesignSpace(Polytope.of(names, [LinearEquality.group(names, names), _bounds(lower, upper)]), True)

    @staticmethod
    def box(lower: np.ndarray, upper: np.ndarray, corrected: bool) -> "DesignSpace":
        """Return amounts between the element bounds, whatever they sum to; nothing at all is no recipe."""
        return DesignSpace(Polytope.of(_names(lower), [_bounds(np.maximum(lower, WEIGHING), upper)]), corrected)

    def alloys(self, recipes: Float[Array, "... d"]) -> Float[Array, "... d"]:
        """Return what recipes make: nobody touches one that sums to one."""
        return recipes if self.recipes.groups else normalised(recipes)

    def best(self, value: Callable, key: PRNGKeyArray) -> Float[Array, " d"]:
        """Return the recipe of the greatest value found."""
        return maximise(value, self.recipes, key, STARTS, SCREENED)[0]


def _names(lower: np.ndarray) -> list[str]:
    return [f"x{i}" for i in range(len(lower))]


def _bounds(lower: np.ndarray, upper: np.ndarray) -> Bounds:
    names = _names(lower)
    return Bounds.between(
        names, dict(zip(names, lower.tolist(), strict=True)), dict(zip(names, upper.tolist(), strict=True))
    )


class Problem(eqx.Module):
    """A hidden property of alloys.

    Attributes:
        truth: of the fractions, in the property's unit.
        noise_sd: of one measurement.
        lower: least fraction of each element that is wanted.
        upper: greatest one.
        typical_value: of the property, known beforehand.
        typical_spread: likewise.
    """

    truth: Callable[[Float[Array, " d"]], Float[Array, ""]]
    noise_sd: float
    lower: Float[Array, " d"]
    upper: Float[Array, " d"]
    typical_value: float
    typical_spread: float

    def wanted(self, alloys: Float[Array, "n d"]) -> Bool[Array, " n"]:
        """Return which alloys keep the element bounds."""
        return jnp.all((alloys >= self.lower - ROUNDING) & (alloys <= self.upper + ROUNDING), axis=1)


class Run(eqx.Module):
    """One campaign.

    Attributes:
        recipes: as proposed, in order, the random ones first.
        alloys: as made.
        announced: true property of the alloy that would be named best after each measurement behind the random ones;
            NaN as long as no alloy made keeps the bounds.
    """

    recipes: Float[Array, "rows d"]
    alloys: Float[Array, "rows d"]
    announced: Float[Array, " steps"]


@eqx.filter_jit
def campaigns(space: DesignSpace, problem: Problem, initial: int, measurements: int, keys: PRNGKeyArray) -> Run:
    """Return one campaign a key, each with so many random alloys first."""
    return jax.lax.map(lambda key: _campaign(space, problem, initial, measurements, key), keys)


def normalised(recipe: Float[Array, "... d"]) -> Float[Array, "... d"]:
    """Return a recipe divided by its sum."""
    return recipe / jnp.sum(recipe, axis=-1, keepdims=True)


def _campaign(space: DesignSpace, problem: Problem, initial: int, measurements: int, key: PRNGKeyArray) -> Run:
    of_start, of_noise, of_steps = jax.random.split(key, 3)
    noise = problem.noise_sd * jax.random.normal(of_noise, (measurements,))
    recipes = (
        jnp.zeros((measurements, problem.lower.shape[0])).at[:initial].set(space.recipes.sample(initial, of_start))
    )
    alloys = jnp.zeros_like(recipes).at[:initial].set(normalised(recipes[:initial]))
    told = Designs.room(*recipes.shape)
    for row in range(initial):
        x = alloys[row] if space.told_alloy else recipes[row]
        told = told.with_answer(x, problem.truth(alloys[row]) + noise[row])

    def step(state: tuple, now: tuple) -> tuple[tuple, Array]:
        (recipes, alloys, told, process), (row, key) = state, now
        process = process.fit(told)
        recipe = space.best(_improvement(process, told, problem.wanted(alloys)), key)
        alloy = space.alloys(recipe)
        told = told.with_answer(alloy if space.told_alloy else recipe, problem.truth(alloy) + noise[row])
        recipes, alloys = recipes.at[row].set(recipe), alloys.at[row].set(alloy)
        return (recipes, alloys, told, process), _announced(process, told, alloys, problem)

    process = DesignGP.before_answers(problem.lower.shape[0], problem.typical_value, problem.typical_spread)
    rows = jnp.arange(initial, measurements)
    start, steps = (recipes, alloys, told, process), (rows, jax.random.split(of_steps, len(rows)))
    (recipes, alloys, _, _), announced = jax.lax.scan(step, start, steps)
    return Run(recipes, alloys, announced)


def _improvement(process: DesignGP, told: Designs, wanted: Bool[Array, " rows"]) -> Callable:
    """Return the expected improvement on the best alloy made that keeps the bounds (on any, before there is one)."""
    belief = process.condition(told)
    mean, useful = belief.at(told.x)[0], told.used & wanted
    best = jnp.max(jnp.where(jnp.where(useful.any(), useful, told.used), mean, -jnp.inf))

    def value(x: Float[Array, " d"]) -> Float[Array, ""]:
        mean, deviation = belief.at(x[None])
        return expected_improvement(mean - best, deviation)[0] / process.typical_spread

    return value


def _announced(process: DesignGP, told: Designs, alloys: Float[Array, "rows d"], problem: Problem) -> Float[Array, ""]:
    """Return the true property of the alloy made, within bounds, that is believed to be best."""
    useful = told.used & problem.wanted(alloys)
    best = jnp.argmax(jnp.where(useful, process.condition(told).at(told.x)[0], -jnp.inf))
    return jnp.where(useful.any(), problem.truth(alloys[best]), jnp.nan)

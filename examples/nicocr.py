"""The hardest Ni-Co-Cr alloy: recipes from a box, or from the simplex.

An optimiser that searches the box [0, 1]^3 proposes amounts that do not sum to one. Somebody divides them by their sum,
and the optimiser never learns that all recipes on a ray are one alloy. On the simplex every proposal is a composition
to begin with. Everything else is the same here: the surrogate, the expected improvement, 5 random alloys and 25 chosen
ones, each measured with 3 HV of noise. The hidden hardness is solid-solution strengthening after Varvenne, Luque and
Curtin (2016), anchored to the measured hardness of CoCrNi: see `physics/experiment/solid_solution.py`.

Run it: `python examples/nicocr.py` (a minute; `--fast` for the short form), picture in `examples/nicocr.svg`
(`--output FILE` for another place). One seed is an anecdote: `python -m benchmarks constraints` has a hundred.
"""

# %%
import argparse
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from mfal.acquisition.improvement import expected_improvement
from mfal.acquisition.optimise import maximise
from mfal.constraints.linear import Bounds
from mfal.constraints.polytope import Polytope
from mfal.report.ternary import Panel, Surface, grid, ternary_plot
from mfal.surrogate.designs import DesignGP, Designs
from physics.experiment.solid_solution import Elements, hardness

parser = argparse.ArgumentParser()
parser.add_argument("--fast", action="store_true", help="the short form")
parser.add_argument("--output", type=Path, default=Path(__file__).parent / "nicocr.svg", help="the picture")
parser.add_argument("--seed", type=int, default=0)
options = parser.parse_args()

RANDOM, MEASUREMENTS = (5, 9) if options.fast else (5, 30)
NOISE_HV = 3.0
SYMBOLS = ("Ni", "Co", "Cr")
ELEMENTS = Elements.of(SYMBOLS)
SIMPLEX = Polytope.simplex(SYMBOLS)
# Nothing at all is no recipe.
BOX = Polytope.of(SYMBOLS, [Bounds.between(SYMBOLS, dict.fromkeys(SYMBOLS, 0.001), dict.fromkeys(SYMBOLS, 1.0))])

# %% [markdown]
# ## One campaign
#
# The table of answers has its full size from the start, so nothing compiles again as it fills.


# %%
@eqx.filter_jit
def propose(space, process, told, key):
    """Return the fitted process and the recipe of a design space with the greatest expected improvement in HV."""
    process = process.fit(told)
    belief = process.condition(told)
    lead = jnp.max(jnp.where(told.used, belief.at(told.x)[0], -jnp.inf))

    def improvement(recipe):
        mean, deviation = belief.at(recipe[None])
        return expected_improvement(mean - lead, deviation)[0]

    return process, maximise(improvement, space, key, starts=16, screened=256)[0]


@eqx.filter_jit
def true_hardness(alloy):
    """Return what is hidden from both."""
    return hardness(alloy, ELEMENTS)


@eqx.filter_jit
def hardest_of(process, told):
    """Return the row of the answer that is believed to come from the hardest alloy."""
    mean = process.fit(told).condition(told).at(told.x)[0]
    return jnp.argmax(jnp.where(told.used, mean, -jnp.inf))


def campaign(space, key):
    """Return recipes, alloys, and which alloy is believed to be the hardest."""
    of_start, of_noise, *keys = jax.random.split(key, MEASUREMENTS + 2)
    noise = NOISE_HV * jax.random.normal(of_noise, (MEASUREMENTS,))
    first, recipes, alloys = space.sample(RANDOM, of_start), [], []
    told = Designs.room(MEASUREMENTS, 3)
    process = DesignGP.before_answers(3, typical_value=200.0, typical_spread=20.0)
    for row in range(MEASUREMENTS):
        if row < RANDOM:
            recipe = first[row]
        else:
            process, recipe = propose(space, process, told, keys[row])
        alloy = recipe / jnp.sum(recipe)
        told = told.with_answer(recipe, true_hardness(alloy) + noise[row])
        recipes.append(recipe)
        alloys.append(alloy)
    return np.stack(recipes), np.stack(alloys), int(hardest_of(process, told))


# %% [markdown]
# ## Both, side by side

# %%
hardest, top = maximise(true_hardness, SIMPLEX, jax.random.key(0))
print(
    f"hidden optimum: {top:.1f} HV at " + " ".join(f"{s}{100 * x:.0f}" for s, x in zip(SYMBOLS, hardest, strict=True))
)

panels = []
for name, space in (("Simplex", SIMPLEX), ("Box, normalised by hand", BOX)):
    recipes, alloys, named = campaign(space, jax.random.key(options.seed))
    sound = np.abs(recipes.sum(axis=1) - 1.0) <= 1e-3
    found = float(true_hardness(jnp.asarray(alloys[named])))
    print(f"{name}: {(~sound).sum()} of {MEASUREMENTS} recipes invalid, named best {found:.1f} HV (-{top - found:.1f})")
    panels.append(Panel(f"{name}: {(~sound).sum()} of {MEASUREMENTS} invalid", alloys, sound, named))

# %%
points = grid(40)
values = np.asarray(jax.vmap(true_hardness)(jnp.asarray(points)))
picture = ternary_plot(SYMBOLS, Surface(points, values, "hidden hardness, HV"), panels)
options.output.write_text(picture, encoding="utf-8")
print(f"picture: {options.output}")

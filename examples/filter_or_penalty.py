"""Filter first or rank first: two top tens of the same campaign on measured formation energies.

We look for the most stable 1:1 intermetallic that we can afford. The candidates are the measured ones of pymatgen's
table of experiments (86 alloys of two metals); 30 of them, drawn at random, are known, and expected improvement ranks
the rest. The constraint is real money: the metals of a kilogram may cost 1000 USD at the prices that pymatgen carries
(2013, `pymatgen.analysis.cost`), which leaves out Pt, Rh, Ir, Pd, Au, Sc and Lu.

- *Filter first, rank second*: what is too dear neither gains nor competes. The incumbent is the best alloy that is
  known and affordable.
- *Rank first, soft*: a(x) - beta d(x, F), with d the decades of price above the limit. The incumbent is the best alloy
  known at any price, so an affordable candidate has to beat platinum alloys before it gains anything.

Run it: `python examples/filter_or_penalty.py` (seconds; `--beta` in eV/atom for a tenfold price).
"""

# %%
import argparse
import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from mfal.acquisition.base import Known
from mfal.acquisition.constrained import Filtered, Penalised
from mfal.acquisition.improvement import ExpectedImprovement
from mfal.dataset import from_rows
from mfal.space.features import composition_descriptors
from mfal.space.pool import Pool
from mfal.surrogate.base import Posterior
from mfal.surrogate.recursive import recursive_surrogate
from physics.experiment.replay import measured_compounds

# pymatgen, of noble gases that occur in none of our alloys.
warnings.filterwarnings("ignore", message="No Pauling electronegativity")
from pymatgen.analysis.cost import CostAnalyzer, CostDBElements  # noqa: E402
from pymatgen.core import Composition  # noqa: E402

parser = argparse.ArgumentParser()
parser.add_argument("--beta", type=float, default=0.005, help="gain in eV/atom given up for a tenfold price")
parser.add_argument("--limit", type=float, default=1000.0, help="USD for the metals of a kilogram")
parser.add_argument("--seed", type=int, default=1, help="of the alloys that are known")
parser.add_argument("--draws", type=int, default=20, help="of the known alloys, for how much the lists differ at all")
options = parser.parse_args()
KNOWN, TOP = 30, 10
# Calorimetry repeats itself within about .02 eV/atom.
NOISE_VARIANCE = 0.02**2

# %% [markdown]
# ## Candidates and what they cost

# %%
names = [compound.formula for compound in measured_compounds()]
energy = np.array([compound.formation_energy_ev_per_atom for compound in measured_compounds()])
prices = CostAnalyzer(CostDBElements())
usd_per_kg = np.array([prices.get_cost_per_kg(Composition(name)) for name in names])
affordable = usd_per_kg <= options.limit
decades = np.maximum(np.log10(usd_per_kg / options.limit), 0.0)
features = jnp.asarray(Pool(names, *composition_descriptors(names)).features)

# %% [markdown]
# ## Two orders of one acquisition

# %%
improvement = ExpectedImprovement(jnp.array([NOISE_VARIANCE]), jnp.asarray(1.0), target=0)
filtered = Filtered(improvement, jnp.asarray(affordable))
penalised = Penalised(improvement, jnp.asarray(decades), jnp.asarray(options.beta))


@eqx.filter_jit
def gains(dataset):
    """Return the gain of every alloy in eV/atom, filtered and penalised."""
    surrogate = recursive_surrogate(features, jnp.array([-0.5]), jnp.array([0.3]), nonlinear=False)
    posterior = Posterior.of(surrogate.fit(dataset, jnp.array([True])).condition(dataset), rows=1)
    known = Known(dataset.observed[:, 0], dataset.value[:, 0], jnp.zeros(len(names), bool))
    return [one(posterior, known, jax.random.key(0)).gain[:, 0] for one in (filtered, penalised)]


def orders(seed):
    """Return the known alloys of a draw, and the gain of every alloy in both orders."""
    measured = np.random.default_rng(seed).choice(len(names), KNOWN, replace=False)
    noise, target = np.full(KNOWN, NOISE_VARIANCE), np.zeros(KNOWN, int)
    return measured, *map(np.asarray, gains(from_rows(measured, target, energy[measured], noise, len(names), 1)))


def top_ten(gain):
    """Return the ten best that gain anything, best first."""
    return [int(i) for i in np.argsort(-gain, kind="stable")[:TOP] if gain[i] > 0.0]


# %% [markdown]
# ## Side by side


# %%
def line(order, gain, rank):
    """Return one entry of a top ten."""
    if rank >= len(order):
        return ""
    index = order[rank]
    mark = " " if affordable[index] else "!"
    return f"{names[index]:<6}{1e3 * gain[index]:8.2f} meV {usd_per_kg[index]:8.0f} USD/kg {mark}"


measured, by_filter, by_penalty = orders(options.seed)
first, soft = top_ten(by_filter), top_ten(by_penalty)
print(
    f"{affordable.sum()} of {len(names)} alloys cost at most {options.limit:.0f} USD/kg; ! marks those that cost more"
)
print(f"    {'filter first':<38}rank first, beta = {options.beta:g} eV/atom a decade")
for rank in range(TOP):
    print(f"{rank + 1:>2}  {line(first, by_filter, rank):<38}{line(soft, by_penalty, rank)}".rstrip())

# %%
dear = [names[i] for i in soft if not affordable[i]]
shared = [names[i] for i in first if i in soft]
best = min(measured, key=lambda i: energy[i])
best_affordable = min((i for i in measured if affordable[i]), key=lambda i: energy[i])
print(f"in both lists: {len(shared)} ({', '.join(shared) or 'none'}); too dear, in the soft list: {len(dear)}")
print(
    f"why: filtered, a candidate has to beat {names[best_affordable]} ({energy[best_affordable]:.3f} eV/atom); "
    f"ranked first, it has to beat {names[best]} ({energy[best]:.3f}), which costs {usd_per_kg[best]:.0f} USD/kg"
)

# %% [markdown]
# ## Not only with these 30

# %%
both = []
for seed in range(options.draws):
    _, by_filter, by_penalty = orders(seed)
    both.append(len(set(top_ten(by_filter)) & set(top_ten(by_penalty))))
print(
    f"{options.draws} draws of the known alloys: {np.mean(both):.1f} of ten in both lists ({min(both)} to {max(both)})"
)

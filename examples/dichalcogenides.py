# %%
"""New dichalcogenides M1-xM'x(X1-yX'y)2, and why the ratio M:X = 1:2 belongs into the decoder.

Run: python examples/dichalcogenides.py (half a minute; with --fast a few seconds, then nothing is learnt well).
"""

import re
import sys
from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np

from mfal.campaign.constraints import ConstraintsSection, RatioSection
from mfal.campaign.feasibility import refusals
from mfal.constraints.linear import LinearInequality
from mfal.generate.corpus import Corpus
from mfal.generate.generator import Generator, SiteRatio
from mfal.generate.heads import FreeHead, StoichiometryHead
from mfal.generate.integers import nearest_counts
from mfal.generate.latent_projection import projected_latents
from mfal.generate.proposals import propose
from mfal.generate.training import Schedule
from mfal.generate.vae import VaeSettings, train_vae
from mfal.space.formula import Formula

METALS, CHALCOGENS = (re.findall("[A-Z][a-z]?", text) for text in ("TiZrNbTaMoW", "SSeTe"))
SETTINGS = VaeSettings(latent=8, schedule=Schedule(steps=300 if "--fast" in sys.argv else 6000))

# %% The corpus: two metals and two chalcogens at most, in quarters; Janus layers such as MoSSe are among them.
quarters = [*((a, a, 4) for a in METALS), *((a, b, k) for a, b in combinations(METALS, 2) for k in (1, 2, 3))]
layers = [*((x, x, 4) for x in CHALCOGENS), *((x, y, k) for x, y in combinations(CHALCOGENS, 2) for k in (1, 2, 3))]
written = [f"{a}{k}{b}{4 - k}{x}{2 * n}{y}{8 - 2 * n}" for a, b, k in quarters for x, y, n in layers]
corpus = Corpus.of([str(Formula.parse(text)) for text in written])
elements, x = corpus.elements, jnp.asarray(corpus.fractions)
print(f"{len(corpus.formulas)} formulas of {', '.join(elements)}")

# %% What must hold, as a campaign file would say it in [constraints].
section = ConstraintsSection(
    elements=METALS + CHALCOGENS,
    charge="balanced",
    oxidation_states={symbol: [4] for symbol in METALS} | {symbol: [-2] for symbol in CHALCOGENS},
    ratio=[RatioSection(of=METALS, to=CHALCOGENS, amounts=(1, 2))],
)


def refused_share(counts: np.ndarray) -> float:
    """Return the share of rows of atoms that the constraints refuse."""
    formulas = [str(Formula(dict(zip(elements, row, strict=True)))) for row in counts.tolist()]
    out = refusals(section, sorted(set(formulas)))
    return float(np.mean([formula in out for formula in formulas]))


# %% The same autoencoder with either head.
free, _ = train_vae(x, FreeHead(len(elements)), SETTINGS, jax.random.key(0))
built_in, _ = train_vae(x, StoichiometryHead.of(elements, METALS), SETTINGS, jax.random.key(0))
ratio = SiteRatio.of(corpus, METALS, CHALCOGENS, (1, 2))
by_hand, exact = (np.asarray(vae.sample(1000, jax.random.key(1))) for vae in (free, built_in))
print(f"free outputs: {refused_share(nearest_counts(by_hand, 12)):.0%} refused")
print(f"ratio built in: {refused_share(Generator(corpus, ratio=ratio, atoms=12).round(exact)):.0%} refused")

# %% Ten new ones, of up to 24 atoms.
found = propose(
    lambda count, key: np.asarray(built_in.sample(count, key)),
    Generator(corpus, ratio=ratio, atoms=24).round,
    lambda formulas: refusals(section, formulas),
    corpus,
    10,
    jax.random.key(2),
)
print("new:", ", ".join(found.formulas))

# %% The latents nearest to those of MoS2 and WSe2 that decode to a fifth of niobium among all atoms.
rows = [corpus.formulas.index(name) for name in ("Mo4S8", "W4Se8")]
start = built_in.encode(x[jnp.array(rows)])[0]
niobium = LinearInequality.at_least(elements, {"Nb": 1.0}, 0.2)
moved = built_in.decode(projected_latents(built_in.decode, niobium.slack, start))
for row in np.asarray(moved):
    parts = sorted(zip(row.tolist(), elements, strict=True), reverse=True)
    print("with niobium:", " ".join(f"{symbol} {share:.2f}" for share, symbol in parts if share > 0.02))

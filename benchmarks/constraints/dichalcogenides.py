"""Dichalcogenides: what a composition VAE generates with free outputs, and with the ratio M:X = 1:2 built in.

The corpus is MX2 with mixtures of two metals, of two chalcogens (Janus layers among them) and of both, in quarters:
what a 2 x 2 cell of 12 atoms holds. Metals of neighbouring groups mix. All metals are taken as M4+, and Ni, Pd and Pt
may be M2+ as well; that is a simplification: Nb and Ta are commonly +5, and the compounds of Ir, Rh or Mn are left out
because their chalcogens bind each other, so that the metals are below 4+.

A sample is valid if, rounded to a formula of at most 12 atoms, the table `[constraints]` of a campaign admits it:
allowed elements, M:X = 1:2, neutral. Free outputs are rounded to the nearest formula of all. The constrained decoder
has the ratio exactly, and is rounded to the nearest formula that keeps it; `valid_any_rounding` says what becomes of it
without that, and `valid_projected` what becomes of the free outputs with it. Both networks have the same size, loss and
training. The error is the mean absolute one of a fraction, of held-out compositions, before rounding.
"""

import re
from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.constraints.repeats import interval
from mfal.campaign.constraints import ConstraintsSection, RatioSection
from mfal.campaign.feasibility import refusals
from mfal.constraints.stoichiometry import Ratio
from mfal.generate.corpus import Corpus
from mfal.generate.heads import AbstractHead, FreeHead, StoichiometryHead
from mfal.generate.integers import nearest_counts, nearest_in_ratio
from mfal.generate.training import Schedule
from mfal.generate.vae import Vae, VaeSettings, train_vae
from mfal.space.formula import Formula

# Group of the periodic table; metals of the same or neighbouring groups mix.
GROUPS = {
    "Ti": 4, "Zr": 4, "Hf": 4, "V": 5, "Nb": 5, "Ta": 5, "Mo": 6, "W": 6, "Re": 7, "Ni": 10, "Pd": 10, "Pt": 10,
}  # fmt: skip
CHALCOGENS = tuple(re.findall("[A-Z][a-z]?", "SSeTe"))  # in one word: a spelling check knows better
UNITS, ATOMS = 4, 12
_STATES = {metal: [2, 4] if GROUPS[metal] == 10 else [4] for metal in GROUPS} | {x: [-2] for x in CHALCOGENS}
CONSTRAINTS = ConstraintsSection(
    elements=[*GROUPS, *CHALCOGENS],
    charge="balanced",
    oxidation_states=_STATES,
    ratio=[RatioSection(of=list(GROUPS), to=list(CHALCOGENS), amounts=(1, 2))],
)
_SETTINGS = VaeSettings(schedule=Schedule(steps=8000))


def measure_dichalcogenides(smoke: bool) -> dict[str, float]:
    """Return valid shares and reconstruction errors over seeds, and how the invalid share depends on the training."""
    seeds, settings = (2, VaeSettings(schedule=Schedule(steps=300))) if smoke else (10, _SETTINGS)
    runs = [_run(seed, settings, 100 if smoke else 1000) for seed in range(seeds)]
    ratios = [run["error_constrained"] / run["error_vanilla"] for run in runs]
    figures = {name: value for key in runs[0] for name, value in interval(f"tmd_{key}", [r[key] for r in runs]).items()}
    figures |= interval("tmd_reconstruction_ratio", ratios)
    return figures | ({} if smoke else _dependence())


def compositions() -> list[str]:
    """Return the corpus as formulas."""
    near = [(a, b) for a, b in combinations(GROUPS, 2) if abs(GROUPS[a] - GROUPS[b]) <= 1]
    metals = _mixtures(list(GROUPS), near, 1)
    chalcogens = _mixtures(list(CHALCOGENS), list(combinations(CHALCOGENS, 2)), 2)
    return [f"{metal}{chalcogen}" for metal in metals for chalcogen in chalcogens]


def split(seed: int) -> tuple[Corpus, np.ndarray]:
    """Return four fifths of the corpus to learn from, and the fractions of the rest, to be reconstructed."""
    formulas = np.array(compositions())[np.random.default_rng(seed).permutation(len(compositions()))]
    held_out = len(formulas) // 5
    learnt = Corpus.of(formulas[held_out:].tolist())
    return learnt, np.array([Formula.parse(text).fractions(learnt.elements) for text in formulas[:held_out]])


def valid_share(elements: tuple[str, ...], counts: np.ndarray) -> float:
    """Return the share of rows of atoms that the constraints admit."""
    formulas = [str(Formula(dict(zip(elements, row, strict=True)))) for row in counts.tolist()]
    refused = refusals(CONSTRAINTS, sorted(set(formulas)))
    return float(np.mean([formula not in refused for formula in formulas]))


def _run(seed: int, settings: VaeSettings, samples: int) -> dict[str, float]:
    learnt, held_out = split(seed)
    elements, test = learnt.elements, jnp.asarray(held_out)
    keys = jax.random.split(jax.random.key(seed), 3)
    vanilla = _trained(learnt, FreeHead(len(elements)), settings, keys[0])
    constrained = _trained(learnt, StoichiometryHead.of(elements, list(GROUPS)), settings, keys[1])
    free, exact = (np.asarray(vae.sample(samples, keys[2])) for vae in (vanilla, constrained))
    ratio = Ratio.of(elements, list(GROUPS), CHALCOGENS, (1, 2))
    projected = np.asarray(ratio.project(jnp.asarray(free)))
    in_ratio, repaired = _in_ratio(elements, exact), _in_ratio(elements, projected)
    return {
        "invalid_vanilla": 1.0 - valid_share(elements, nearest_counts(free, ATOMS)),
        "invalid_vanilla_6_atoms": 1.0 - valid_share(elements, nearest_counts(free, 6)),
        "invalid_vanilla_24_atoms": 1.0 - valid_share(elements, nearest_counts(free, 24)),
        "valid_constrained": valid_share(elements, in_ratio),
        "valid_any_rounding": valid_share(elements, nearest_counts(exact, ATOMS)),
        "valid_projected": valid_share(elements, repaired),
        "new_constrained": float(np.mean([formula not in learnt for formula in _formulas(elements, in_ratio)])),
        "moved_constrained": _moved(in_ratio, exact),
        "moved_projected": _moved(repaired, free),
        "error_vanilla": _error(vanilla, test),
        "error_constrained": _error(constrained, test),
    }


def _dependence() -> dict[str, float]:
    """Return the vanilla's invalid share after other lengths of training and with other latent spaces, three seeds."""
    settings = {
        "2000_steps": VaeSettings(schedule=Schedule(steps=2000)),
        "20000_steps": VaeSettings(schedule=Schedule(steps=20_000)),
        "latent_4": VaeSettings(latent=4, schedule=_SETTINGS.schedule),
    }
    return {f"tmd_invalid_vanilla_{name}": round(_invalid(setting), 4) for name, setting in settings.items()}


def _invalid(settings: VaeSettings) -> float:
    shares = []
    for seed in range(3):
        learnt, _ = split(seed)
        train, draw = jax.random.split(jax.random.key(seed))
        vae = _trained(learnt, FreeHead(len(learnt.elements)), settings, train)
        shares.append(1.0 - valid_share(learnt.elements, nearest_counts(np.asarray(vae.sample(1000, draw)), ATOMS)))
    return float(np.mean(shares))


def _trained(corpus: Corpus, head: AbstractHead, settings: VaeSettings, key: jax.Array) -> Vae:
    return train_vae(jnp.asarray(corpus.fractions), head, settings, key)[0]


def _in_ratio(elements: tuple[str, ...], fractions: np.ndarray) -> np.ndarray:
    groups = [[i for i, symbol in enumerate(elements) if (symbol in GROUPS) == metal] for metal in (True, False)]
    return nearest_in_ratio(fractions, groups, (1, 2), ATOMS)


def _formulas(elements: tuple[str, ...], counts: np.ndarray) -> list[Formula]:
    return [Formula(dict(zip(elements, row, strict=True))) for row in counts.tolist()]


def _moved(counts: np.ndarray, fractions: np.ndarray) -> float:
    """Return how much rounding moves, as the share of atoms exchanged."""
    return float(np.mean(0.5 * np.abs(counts / counts.sum(axis=1, keepdims=True) - fractions).sum(axis=1)))


def _error(vae: Vae, test: jax.Array) -> float:
    return float(jnp.mean(jnp.abs(vae.reconstruct(test) - test)))


def _mixtures(names: list[str], pairs: list[tuple[str, str]], per_unit: int) -> list[str]:
    """Return the pure substances and the mixtures of pairs, as parts of a formula of four units."""
    pure = [f"{name}{UNITS * per_unit}" for name in names]
    mixed = [(a, b, k * per_unit, (UNITS - k) * per_unit) for a, b in pairs for k in range(1, UNITS)]
    return pure + [f"{a}{m}{b}{n}" for a, b, m, n in mixed]

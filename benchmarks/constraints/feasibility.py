"""A classifier of stable compounds beside charge balance, and diffusion that the classifier guides.

The table (`make_stability.py` makes it) holds binary compounds with energies above the hull, all within CHGNet; up to
0.05 eV/atom counts as stable, which is what is commonly made. A fold holds out all compounds of some pairs of elements
(`classifier_auroc`), or all compounds of some elements, which are then new to the classifier
(`classifier_new_elements_auroc`). AUROC is averaged over five folds; its interval is from 300 draws of whole chemical
systems with replacement, which all compounds of a system belong to. Charge balance answers yes or no about the same
compounds: neutral with pymatgen's common states (`charge_balance_auroc`), or with those of ICSD or smact, or a compound
of metals only, whichever of these is best (`charge_balance_best_auroc`).

For guidance the systems are halved: one classifier, of the first half, guides; another, of the second, judges; and
samples that are compounds of the second half are looked up in the table, too, which neither classifier can flatter. The
diffusion learns all compounds, stable or not. Samples are reduced to their two most frequent elements and up to five
atoms before they are judged: of compounds with more elements the table says nothing, and both classifiers are far too
sure of them (judged without this, 97 % of guided samples are stable).
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import rankdata

from benchmarks.constraints.make_stability import METALS
from benchmarks.constraints.repeats import interval
from benchmarks.record import UnavailableError
from mfal.constraints.ilr import LogRatios
from mfal.constraints.oxidation import Source, charge_verdict, oxidation_states
from mfal.errors import ConstraintError
from mfal.generate.diffusion import DiffusionSettings, train_diffusion
from mfal.generate.feasibility import ClassifierSettings, FeasibilityClassifier, train_classifier
from mfal.generate.integers import nearest_counts
from mfal.generate.stability_table import StabilityTable, read_stability
from mfal.generate.training import Schedule
from mfal.space.formula import Formula

TABLE = Path(__file__).parents[1] / "data" / "stability.csv"
FOLDS, DRAWS = 5, 300
_SHORT = Schedule(steps=200)


def measure_feasibility(smoke: bool) -> dict[str, float]:
    """Return AUROCs with intervals.

    Raises:
        UnavailableError: the table is not there.
    """
    known = compounds()
    settings = ClassifierSettings(schedule=_SHORT) if smoke else ClassifierSettings()
    by_system, by_element = _held_out_systems(known), _held_out_elements(known)
    scores = _scores(known, by_system[: 2 if smoke else FOLDS], settings)
    new = _scores(known, by_element[: 2 if smoke else FOLDS], settings)
    neutral = charge_scores(known)
    polar = ~np.array([set(Formula.parse(text).amounts) <= set(METALS) for text in known.formulas])
    figures = _auroc("classifier_auroc", known, scores)
    figures |= _auroc("classifier_new_elements_auroc", known, new)
    figures |= _auroc("classifier_polar_auroc", known, [(rows[polar[rows]], s[polar[rows]]) for rows, s in scores])
    for name, score in neutral.items():
        figures |= _auroc(f"charge_balance_{name}auroc", known, [(rows, score[rows]) for rows, _ in scores])
    kept = [rows[polar[rows]] for rows, _ in scores]
    figures |= _auroc("charge_balance_polar_auroc", known, [(rows, neutral[""][rows]) for rows in kept])
    best = max(figures[f"charge_balance_{name}auroc"] for name in neutral)
    return figures | {"charge_balance_best_auroc": best, "stable_share": round(float(known.stable.mean()), 4)}


def measure_guidance(smoke: bool) -> dict[str, float]:
    """Return the stable share of samples without and with guidance, over seeds."""
    known = compounds()
    seeds, count = (2, 200) if smoke else (5, 500)
    settings = ClassifierSettings(schedule=_SHORT) if smoke else ClassifierSettings()
    learnt = DiffusionSettings(schedule=_SHORT if smoke else Schedule(steps=4000, batch=256))
    runs = [_guided(known, seed, count, settings, learnt) for seed in range(seeds)]
    # Where no sample of a seed is in the table, there is nothing to look up.
    measured = [name for name in runs[0] if all(name in run for run in runs)]
    return {k: v for name in measured for k, v in interval(name, [run[name] for run in runs]).items()}


@cache
def compounds() -> StabilityTable:
    """Read the table."""
    if not TABLE.is_file():
        raise UnavailableError(f"{TABLE} is not there: python -m benchmarks.constraints.make_stability makes it")
    return read_stability(TABLE)


def systems_of(known: StabilityTable) -> np.ndarray:
    """Return the chemical system of each compound as a number."""
    return np.unique(known.fractions > 0.0, axis=0, return_inverse=True)[1].ravel()


def auroc(score: np.ndarray, positive: np.ndarray) -> float:
    """Return the chance that a positive has the higher score, ties counting half (Mann and Whitney)."""
    ranks, count = rankdata(score), int(positive.sum())
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * (len(score) - count)))


def charge_scores(known: StabilityTable) -> dict[str, np.ndarray]:
    """Return one where charge balance admits a compound, by the source of the states."""
    found = {"": _neutral(known.formulas, "common")}
    found |= {f"{source}_": _neutral(known.formulas, source) for source in ("icsd", "smact")}
    alloy = np.array([float(set(Formula.parse(text).amounts) <= set(METALS)) for text in known.formulas])
    return found | {"or_alloy_": np.maximum(found[""], alloy)}


def _neutral(formulas: Sequence[str], source: Source) -> np.ndarray:
    return np.array([float(_is_neutral(Formula.parse(text), source)) for text in formulas])


def _is_neutral(formula: Formula, source: Source) -> bool:
    try:
        return charge_verdict(formula, oxidation_states(list(formula.amounts), source)).admits
    except ConstraintError:  # an element without states balances nothing
        return False


Scores = list[tuple[np.ndarray, np.ndarray]]


def _scores(known: StabilityTable, folds: list[tuple[np.ndarray, np.ndarray]], settings: ClassifierSettings) -> Scores:
    """Return rows and logits of each fold's held-out compounds."""
    found = []
    for fold, (train, test) in enumerate(folds):
        classifier = _classifier(known, train, settings, fold)
        found.append((np.flatnonzero(test), np.asarray(classifier.logit(jnp.asarray(known.fractions[test])))))
    return found


def _classifier(
    known: StabilityTable, rows: np.ndarray, settings: ClassifierSettings, seed: int
) -> FeasibilityClassifier:
    key = jax.random.key(seed)
    return train_classifier(known.elements, known.fractions[rows], known.stable[rows], settings, key)


def _held_out_systems(known: StabilityTable) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return for each fold what is learnt and what is held out: no pair of elements is on both sides."""
    systems = systems_of(known)
    fold = np.random.default_rng(0).permutation(systems.max() + 1)[systems] % FOLDS
    return [(fold != k, fold == k) for k in range(FOLDS)]


def _held_out_elements(known: StabilityTable) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the same with no compound of a held-out element on the learning side."""
    fold = np.random.default_rng(0).permutation(len(known.elements)) % FOLDS
    touched = (known.fractions[:, None, :] * (fold == np.arange(FOLDS)[:, None])).any(axis=2)
    return [(~touched[:, k], touched[:, k]) for k in range(FOLDS)]


def _auroc(name: str, known: StabilityTable, scores: Scores) -> dict[str, float]:
    """Return the mean over folds and the interval of draws of systems."""
    rng, systems = np.random.default_rng(0), systems_of(known)
    mean = np.mean([auroc(score, known.stable[rows]) for rows, score in scores])
    drawn = [np.mean([_resampled(rows, score, known.stable, systems, rng) for rows, score in scores])
             for _ in range(DRAWS)]  # fmt: skip
    low, high = np.quantile(drawn, [0.025, 0.975])
    return {name: round(float(mean), 4), f"{name}_low": round(float(low), 4), f"{name}_high": round(float(high), 4)}


def _resampled(
    rows: np.ndarray, score: np.ndarray, stable: np.ndarray, systems: np.ndarray, rng: np.random.Generator
) -> float:
    order = np.argsort(systems[rows], kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(systems[rows][order])) + 1)
    drawn = np.concatenate([groups[i] for i in rng.integers(0, len(groups), len(groups))])
    return auroc(score[drawn], stable[rows][drawn])


def _guided(
    known: StabilityTable, seed: int, count: int, settings: ClassifierSettings, learnt: DiffusionSettings
) -> dict[str, float]:
    systems = systems_of(known)
    first = np.random.default_rng(seed).permutation(systems.max() + 1)[systems] % 2 == 0
    guide, judge = _classifier(known, first, settings, seed), _classifier(known, ~first, settings, seed + 100)
    shares = LogRatios.between([range(len(known.elements))], [1.0])
    train, draw = jax.random.split(jax.random.key(seed))
    diffusion, _ = train_diffusion(jnp.asarray(known.fractions), shares, learnt, train)
    found = {}
    for name, strength in (("unguided", 0.0), ("guided", 1.0), ("guided_strongly", 3.0)):
        x = np.asarray(diffusion.sample(count, guide.log_probability if strength else None, strength, draw))
        counts = nearest_counts(_two_largest(x), 5)
        rounded = jnp.asarray(counts / counts.sum(axis=1, keepdims=True))
        found[f"{name}_predicted_stable"] = float(jnp.mean(guide.probability(rounded) > 0.5))
        found[f"{name}_judged_stable"] = float(jnp.mean(judge.probability(rounded) > 0.5))
        found |= _looked_up(name, known, counts, ~first)
    return found


def _two_largest(x: np.ndarray) -> np.ndarray:
    """Return compositions of their two most frequent elements: the table, and so the judge, know no others."""
    return np.where(x >= np.sort(x, axis=1)[:, -2:-1], x, 0.0)


def _looked_up(name: str, known: StabilityTable, counts: np.ndarray, rows: np.ndarray) -> dict[str, float]:
    """Return the share of samples among some compounds of the table, and the stable share of these."""
    digits = lambda x: [row.tobytes() for row in np.round(x, 9)]  # noqa: E731
    stable = dict(zip(digits(known.fractions[rows]), known.stable[rows].tolist(), strict=True))
    hits = [stable[key] for key in digits(counts / counts.sum(axis=1, keepdims=True)) if key in stable]
    found = {f"{name}_in_table": len(hits) / len(counts)}
    return found | ({f"{name}_stable_in_table": float(np.mean(hits))} if hits else {})

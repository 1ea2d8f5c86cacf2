"""From the options of a simulated laboratory to its hidden truth."""

import csv
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mfal.errors import CampaignFileError, MfalError
from mfal.oracle import need_package
from mfal.space.features import composition_descriptors
from mfal.space.formula import Formula
from mfal.space.pool import Pool
from mfal.types import Array, Float, Int
from physics.experiment.emulator import Emulator, fit_emulator
from physics.experiment.gap import GAPS, forms
from physics.experiment.labusch import Elements
from physics.experiment.truth import AbstractTruth, Emulated, Replayed, SolidSolution, WithGap
from physics.oracle_options import refuse_unknown

KINDS = ("table", "emulator", "solid_solution", "gap")


def hidden_truth(pool: Pool, options: Mapping[str, Any], place: str) -> AbstractTruth:
    """Return the distribution that a laboratory's truth is drawn from.

    Options: ``kind`` (one of `KINDS`); ``file`` (CSV with the columns formula and value) for all but
    ``solid_solution``; ``logarithmic`` (of the emulator, default true); ``gap`` (key of `physics.experiment.gap.GAPS`);
    ``above_hull`` (of a gap, see the function of that name).

    Raises:
        CampaignFileError: an option is unknown or wrong, or the file lacks a candidate.
        MissingExtraError: pymatgen is not installed.
    """
    refuse_unknown(options, ("kind", "file", "logarithmic", "gap", "above_hull", "seed"), f"{place}: truth")
    kind = options.get("kind")
    if kind not in KINDS:
        raise CampaignFileError(f"{place}: truth.kind={kind!r}: use one of {list(KINDS)}")
    need_package("pymatgen", "mlip")
    formulas = [pool.formula(name) for name in pool.ids]
    if kind == "solid_solution":
        return solid_solution(formulas, place)
    if kind == "emulator":
        return emulated(formulas, _records(options, "file", place), bool(options.get("logarithmic", True)))
    value = _column(options, "file", formulas, place)
    if kind == "table":
        return Replayed(value)
    if options.get("gap") not in GAPS:
        raise CampaignFileError(f"{place}: truth.gap={options.get('gap')!r}: use one of {sorted(GAPS)}")
    return WithGap(value, jnp.asarray(families(formulas)), GAPS[options["gap"]])


def above_hull(
    pool: Pool, options: Mapping[str, Any], place: str
) -> tuple[Float[Array, " n"], Int[Array, " n"]] | None:
    """Return what decides whether materials form, see `physics.experiment.gap.forms`; None where all of them do.

    Options: ``above_hull`` (CSV with the columns formula and value, eV/atom above the hull), for ``kind = "gap"`` only:
    what is stable at 0 K is not what can be made.

    Raises:
        CampaignFileError: the file lacks a candidate, or the truth is of another kind.
    """
    if "above_hull" not in options:
        return None
    if options.get("kind") != "gap":
        raise CampaignFileError(f"{place}: truth.above_hull belongs to kind = 'gap'; remove it, or change the kind")
    formulas = [pool.formula(name) for name in pool.ids]
    return _column(options, "above_hull", formulas, place), jnp.asarray(families(formulas))


def solid_solution(formulas: Sequence[str], place: str) -> SolidSolution:
    """Return the model of solid-solution hardness for these alloys.

    Raises:
        CampaignFileError: the tables lack an element's hardness, shear modulus or radius.
    """
    parsed = [Formula.parse(formula) for formula in formulas]
    symbols = sorted({symbol for formula in parsed for symbol in formula.amounts})
    table = np.array([_elemental(symbol) for symbol in symbols])
    if not np.isfinite(table).all():
        lacking = [symbol for symbol, row in zip(symbols, table, strict=True) if not np.isfinite(row).all()]
        raise CampaignFileError(f"{place}: truth.kind='solid_solution' has no tabulated values of {lacking}")
    fractions = jnp.array([formula.fractions(symbols) for formula in parsed])
    return SolidSolution(fractions, Elements(*map(jnp.asarray, table.T)))


def emulated(formulas: Sequence[str], records: Sequence[tuple[str, float]], logarithmic: bool) -> Emulated:
    """Return an emulator fitted to measured records, at these materials."""
    names = sorted({formula for formula, _ in records})
    measured, asked = composition_descriptors(names)[0], composition_descriptors(list(formulas))[0]
    mean, sd = measured.mean(axis=0), measured.std(axis=0)
    sd = np.where(sd > 0.0, sd, 1.0)
    row = {name: index for index, name in enumerate(names)}
    of, values = [row[formula] for formula, _ in records], [value for _, value in records]
    emulator: Emulator = fit_emulator((measured - mean) / sd, of, values, logarithmic)
    return Emulated(emulator, jnp.asarray((asked - mean) / sd))


def drawn(truth: AbstractTruth, seed: int) -> np.ndarray:
    """Return the one truth of a seed, shape (candidates,)."""
    return np.asarray(truth.draw(1, jax.random.key(seed))[0])


def drawn_unmakable(pool: Pool, options: Mapping[str, Any], place: str, seed: int) -> frozenset[str]:
    """Return the materials that do not form where the truth is that of a seed.

    Raises:
        CampaignFileError: see `above_hull`.
    """
    found = above_hull(pool, options, place)
    if found is None:
        return frozenset()
    _, formed = forms(*found, jax.random.fold_in(jax.random.key(seed), 1))
    return frozenset(np.asarray(pool.ids)[~np.asarray(formed)].tolist())


def families(formulas: Sequence[str]) -> np.ndarray:
    """Return a family for each formula, counted from 0: by its most electronegative element."""
    from pymatgen.core import Element

    anions = [max(Formula.parse(formula).amounts, key=lambda symbol: float(Element(symbol).X)) for formula in formulas]
    return np.array([sorted(set(anions)).index(anion) for anion in anions])


def _column(options: Mapping[str, Any], key: str, formulas: Sequence[str], place: str) -> Float[Array, " n"]:
    """Return the value that a file has for each formula."""
    known = {_canonical(formula): value for formula, value in _records(options, key, place)}
    missing = [formula for formula in formulas if _canonical(formula) not in known]
    if missing:
        raise CampaignFileError(f"{place}: truth.{key} has no value for {missing[:5]}; add them, or leave them out")
    return jnp.array([known[_canonical(formula)] for formula in formulas])


def _records(options: Mapping[str, Any], key: str, place: str) -> list[tuple[str, float]]:
    path = Path(str(options.get(key, ""))).expanduser()
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [(row["formula"], float(row["value"])) for row in csv.DictReader(file)]
    except (OSError, KeyError, TypeError, ValueError) as error:
        text = f"truth.{key}={options.get(key)!r} cannot be read ({error}); give a CSV with formula and value"
        raise CampaignFileError(f"{place}: {text}") from error
    if not rows:
        raise CampaignFileError(f"{place}: truth.{key}={options.get(key)!r} has no row")
    return rows


def _canonical(formula: str) -> tuple:
    try:
        parsed = Formula.parse(formula)
    except MfalError as error:
        raise CampaignFileError(f"truth.file: {error}") from error
    return tuple(sorted((symbol, round(n / parsed.atoms, 4)) for symbol, n in parsed.amounts.items()))


def _elemental(symbol: str) -> tuple[float, float, float]:
    """Return hardness in HV, shear modulus in GPa and metallic radius in angstrom; NaN where there is no value."""
    from pymatgen.core import Element

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about missing values, which are refused by name
        element = Element(symbol)
        values = element.vickers_hardness, element.rigidity_modulus, element.metallic_radius
    hardness, shear, radius = (float("nan") if value is None else float(value) for value in values)
    return hardness / 9.807, shear, radius

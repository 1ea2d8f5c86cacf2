"""The pool plug-in `generated`: candidates that a model of a corpus proposes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import jax

from mfal.errors import CampaignFileError
from mfal.generate.corpus import Corpus, read_corpus
from mfal.generate.feasibility import FeasibilityClassifier
from mfal.generate.generator import Generator, Method, SiteRatio
from mfal.generate.proposals import propose
from mfal.generate.stability_table import read_stability
from mfal.space.features import composition_descriptors
from mfal.space.pool import Pool
from mfal.types import PRNGKeyArray

_KINDS = {"corpus": str, "method": str, "count": int, "seed": int, "atoms": int, "ratio": dict, "stability": str}


def generated(options: Mapping[str, Any]) -> Pool:
    """Build a pool of generated formulas; the campaign's `[constraints]` are applied to it as to any other.

    Args:
        options: ``corpus`` (file of formulas), ``count`` and ``seed``; ``method`` (vae or diffusion), ``atoms`` (the
            most in a formula), ``ratio`` (``of``, ``to`` and ``amounts``, as in ``[[constraints.ratio]]``),
            ``stability`` (table of energies above the hull: what is generated is steered towards stable compounds).

    Raises:
        CampaignFileError: an option is unknown, missing or of a wrong kind.
        GenerationError: the corpus cannot be learnt from, or nothing new comes out of it.
    """
    _check(options)
    corpus = read_corpus(Path(options["corpus"]).expanduser())
    chosen = {name: options[name] for name in ("method", "atoms") if name in options}
    judge, train, draw = jax.random.split(jax.random.key(options["seed"]), 3)
    guide = _guide(corpus, options.get("stability"), judge)
    generator = Generator(corpus, ratio=_ratio(corpus, options.get("ratio")), guide=guide, **chosen)
    found = propose(generator.train(train), generator.round, lambda _: {}, corpus, options["count"], draw)
    descriptors, columns = composition_descriptors(found.formulas)
    return Pool(found.formulas, descriptors, columns, {text: {"formula": text} for text in found.formulas})


def _check(options: Mapping[str, Any]) -> None:
    unknown = sorted(set(options) - set(_KINDS))
    if unknown:
        raise CampaignFileError(f"candidates.options: {unknown=}; known: {', '.join(_KINDS)}")
    missing = [name for name in ("corpus", "count", "seed") if name not in options]
    if missing:
        raise CampaignFileError(f"candidates.options: {missing=}; add them")
    for name, value in options.items():
        if not isinstance(value, _KINDS[name]) or isinstance(value, bool):
            raise CampaignFileError(f"candidates.options.{name}={value!r}: give a {_KINDS[name].__name__}")
    if options.get("method", "vae") not in get_args(Method):
        raise CampaignFileError(f"candidates.options.method={options['method']!r}: use {' or '.join(get_args(Method))}")
    if options["seed"] < 0 or options["count"] < 1:
        raise CampaignFileError(f"candidates.options: seed={options['seed']}, count={options['count']}: from 0, from 1")


def _guide(corpus: Corpus, table: str | None, key: PRNGKeyArray) -> FeasibilityClassifier | None:
    return read_stability(Path(table).expanduser()).classifier(key).on(corpus.elements) if table else None


def _ratio(corpus: Corpus, option: Mapping[str, Any] | None) -> SiteRatio | None:
    if option is None:
        return None
    try:
        of, to, (first, second) = list(option["of"]), list(option["to"]), option["amounts"]
    except (KeyError, TypeError, ValueError) as error:
        raise CampaignFileError(f"candidates.options.ratio={dict(option)}: give of, to and two amounts") from error
    if not (isinstance(first, int) and isinstance(second, int)):
        raise CampaignFileError(f"candidates.options.ratio.amounts={[first, second]}: give two whole numbers")
    return SiteRatio.of(corpus, of, to, (first, second))

"""From generated fractions to formulas that a campaign can ask about: integer, admitted, new, each once."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Float, Int

from mfal.errors import GenerationError
from mfal.generate.corpus import Corpus
from mfal.space.formula import Formula
from mfal.types import PRNGKeyArray

Draw = Callable[[int, PRNGKeyArray], Float[np.ndarray, "n d"]]
Rounding = Callable[[Float[np.ndarray, "n d"]], Int[np.ndarray, "n d"]]
# Formulas that are refused, each with its reasons.
Refused = Callable[[Sequence[str]], Mapping[str, str]]

# Fractions drawn at once, and for each formula wanted before giving up.
_BLOCK, _PATIENCE = 512, 200


@dataclass(frozen=True)
class Proposals:
    """Formulas, and what became of everything that was drawn.

    Attributes:
        formulas: proposed, in the order in which they were drawn.
        drawn: compositions drawn.
        repeated: that had been drawn before.
        known: that the corpus holds.
        refused: that the constraints refuse.
    """

    formulas: tuple[str, ...]
    drawn: int
    repeated: int
    known: int
    refused: int


def propose(
    draw: Draw,
    rounding: Rounding,
    refused: Refused,
    corpus: Corpus,
    count: int,
    key: PRNGKeyArray,
    watch: Callable[[int], None] = lambda found: None,
) -> Proposals:
    """Draw until there are enough formulas, or until hardly anything new comes.

    Args:
        draw: fractions of the elements of the corpus, by number and key.
        rounding: atoms of the formula next to each row of fractions.
        refused: says which formulas the constraints refuse.
        corpus: compositions that are not new.
        count: formulas wanted.
        key: of all draws.
        watch: is told how many there are.

    Raises:
        GenerationError: nothing is wanted, or nothing that was drawn is both admitted and new.
    """
    if count < 1:
        raise GenerationError(f"{count=} formulas are no request: ask for 1 at least")
    found: list[str] = []
    tally, reasons, seen = Counter[str](), Counter[str](), set[str]()
    while len(found) < count and tally["drawn"] < _PATIENCE * max(count, _BLOCK // 8):
        key, now = jax.random.split(key)
        formulas = _formulas(corpus.elements, rounding(draw(_BLOCK, now)))
        fresh = {text: formula for text, formula in formulas.items() if text not in seen}
        new = [text for text, formula in fresh.items() if formula not in corpus]
        out = refused(new) if new else {}
        reasons.update(out.values())
        found += [text for text in new if text not in out]
        seen.update(fresh)
        tally.update(drawn=_BLOCK, repeated=_BLOCK - len(fresh), known=len(fresh) - len(new), refused=len(out))
        watch(min(len(found), count))
    if not found:
        raise GenerationError(_nothing(tally, reasons))
    return Proposals(tuple(found[:count]), *(tally[name] for name in ("drawn", "repeated", "known", "refused")))


def _formulas(elements: Sequence[str], counts: Int[np.ndarray, "n d"]) -> dict[str, Formula]:
    """Return the formulas of atoms without a common divisor, by their text, each once."""
    reduced = counts // np.gcd.reduce(counts, axis=1, keepdims=True)
    once = reduced[np.sort(np.unique(reduced, axis=0, return_index=True)[1])]
    formulas = [Formula(dict(zip(elements, row, strict=True))) for row in once.tolist()]
    return {str(formula): formula for formula in formulas}


def _nothing(tally: Counter[str], reasons: Counter[str]) -> str:
    told = f"nothing new is admitted among {tally['drawn']} compositions: {tally['known']} known, "
    if not reasons:
        return f"{told}none refused; allow larger formulas, or widen the corpus"
    return (
        f"{told}{tally['refused']} refused, such as: {next(iter(reasons))}; relax the constraints or widen the corpus"
    )

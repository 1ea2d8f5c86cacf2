"""A model of a corpus with what it needs to propose formulas: a method, a ratio that it keeps, and a rounding."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from mfal.constraints.ilr import LogRatios
from mfal.errors import GenerationError
from mfal.generate.corpus import Corpus
from mfal.generate.diffusion import DiffusionSettings, train_diffusion
from mfal.generate.feasibility import FeasibilityClassifier
from mfal.generate.heads import SimplexHead, StoichiometryHead
from mfal.generate.integers import nearest_in_ratio
from mfal.generate.latent_projection import projected_latents
from mfal.generate.proposals import Draw
from mfal.generate.vae import VaeSettings, train_vae
from mfal.types import PRNGKeyArray

Method = Literal["vae", "diffusion"]


@dataclass(frozen=True)
class SiteRatio:
    """A ratio that all generated formulas keep, such as M:X = 1:2.

    Attributes:
        first: elements of the first group; all others of the corpus are of the second.
        parts: atoms of the first group to those of the second.
    """

    first: tuple[str, ...]
    parts: tuple[int, int]

    @staticmethod
    def of(corpus: Corpus, of: Sequence[str], to: Sequence[str], amounts: tuple[int, int]) -> "SiteRatio":
        """Return the ratio on the elements of a corpus.

        Raises:
            GenerationError: an element is in no group or in both, a group has none, or a formula has another ratio.
        """
        loose = [symbol for symbol in corpus.elements if (symbol in of) == (symbol in to)]
        first = tuple(symbol for symbol in corpus.elements if symbol in of)
        if loose or not first or len(first) == len(corpus.elements):
            raise GenerationError(f"{list(of)} : {list(to)} must name each of {list(corpus.elements)} once: {loose=}")
        if min(amounts) < 1:
            raise GenerationError(f"{amounts=} of a ratio: give two whole numbers from 1 on")
        share = corpus.fractions[:, np.isin(corpus.elements, first)].sum(axis=1)
        wrong = np.flatnonzero(np.abs(share - amounts[0] / sum(amounts)) > 1e-6)
        if len(wrong):
            name = corpus.formulas[wrong[0]]
            raise GenerationError(f"{name} of the corpus has not the ratio {amounts[0]} : {amounts[1]}: drop it")
        return SiteRatio(first, amounts)


@dataclass(frozen=True)
class Generator:
    """What to learn and how to round.

    Attributes:
        corpus: to learn from.
        method: of generation.
        ratio: that is built in; None where only the sum is.
        atoms: the most that a formula may have.
        guide: says what is stable, of the corpus's elements; None where that does not matter.
        strength: factor on the guide's gradient in a diffusion.
    """

    corpus: Corpus
    method: Method = "vae"
    ratio: SiteRatio | None = None
    atoms: int = 24
    guide: FeasibilityClassifier | None = None
    strength: float = 1.0

    def __post_init__(self) -> None:
        if len(self.corpus.elements) < 2:
            raise GenerationError(f"a corpus of {self.corpus.elements} alone has one composition: add other elements")
        if self.atoms < sum(self._parts):
            raise GenerationError(f"atoms={self.atoms} is no formula size here: allow {sum(self._parts)} at least")
        if self.guide is not None and self.guide.elements != self.corpus.elements:
            raise GenerationError(
                f"the guide knows {self.guide.elements}, not {self.corpus.elements}: use guide.on(...)"
            )

    def train(self, key: PRNGKeyArray) -> Draw:
        """Learn the corpus; return what draws fractions from it."""
        return self._diffusion(key) if self.method == "diffusion" else self._vae(key)

    def _diffusion(self, key: PRNGKeyArray) -> Draw:
        """Return samples of a diffusion, which the guide's gradient steers."""
        shares = LogRatios.between(self._groups, np.array(self._parts) / sum(self._parts))
        diffusion, _ = train_diffusion(jnp.asarray(self.corpus.fractions), shares, DiffusionSettings(), key)
        wanted = None if self.guide is None else self.guide.log_probability
        return lambda count, key: np.asarray(diffusion.sample(count, wanted, self.strength, key))

    def _vae(self, key: PRNGKeyArray) -> Draw:
        """Return samples of an autoencoder, whose latents are moved until the guide says that stable is likelier."""
        elements, guide = self.corpus.elements, self.guide
        head = StoichiometryHead.of(elements, self.ratio.first, [self.ratio.parts]) if self.ratio else None
        vae, _ = train_vae(
            jnp.asarray(self.corpus.fractions), head or SimplexHead.of(len(elements)), VaeSettings(), key
        )
        if guide is None:
            return lambda count, key: np.asarray(vae.sample(count, key))

        def draw(count: int, key: PRNGKeyArray) -> np.ndarray:
            z = jax.random.normal(key, (count, vae.latent))
            return np.asarray(vae.decode(projected_latents(vae.decode, guide.logit, z)))

        return draw

    def round(self, fractions: np.ndarray) -> np.ndarray:
        """Return the atoms of the nearest formula that keeps the ratio, shape (compositions, elements)."""
        return nearest_in_ratio(fractions, self._groups, self._parts, self.atoms)

    @property
    def _groups(self) -> list[list[int]]:
        if self.ratio is None:
            return [list(range(len(self.corpus.elements)))]
        inside = np.isin(self.corpus.elements, self.ratio.first)
        return [np.flatnonzero(inside).tolist(), np.flatnonzero(~inside).tolist()]

    @property
    def _parts(self) -> tuple[int, ...]:
        return self.ratio.parts if self.ratio else (1,)

"""A finite pool of candidates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from mfal.errors import MfalError


@dataclass(frozen=True)
class Pool:
    """A finite set of candidates with one descriptor row each.

    Attributes:
        ids: unique names, for example reduced formulas; the order fixes the candidate index everywhere.
        descriptors: shape (candidates, features), finite, unscaled.
        columns: names of the features.
        payload: what an oracle needs to know of a candidate, by id (JSON values).
    """

    ids: Sequence[str]
    descriptors: np.ndarray
    columns: Sequence[str]
    payload: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.ids:
            raise MfalError("the pool is empty: widen the candidates' filters")
        repeated = sorted({name for name in self.ids if list(self.ids).count(name) > 1})
        if repeated:
            raise MfalError(f"{repeated=} occur more than once in the pool: give each candidate one id")
        if self.descriptors.shape != (len(self.ids), len(self.columns)):
            raise MfalError(f"{self.descriptors.shape=} does not match {len(self.ids)=} and {len(self.columns)=}")
        bad = [name for name, row in zip(self.ids, self.descriptors, strict=True) if not np.isfinite(row).all()]
        if bad:
            raise MfalError(f"descriptors of {bad=} are not finite: fill or drop those candidates")

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def _position(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.ids)}

    def index(self, candidate: str) -> int:
        """Position of `candidate`."""
        return self._position[candidate]

    def formula(self, candidate: str) -> str:
        """Chemical formula of `candidate`: what its payload states, or its id."""
        return str(self.payload.get(candidate, {}).get("formula", candidate))

    @cached_property
    def features(self) -> np.ndarray:
        """Descriptors with zero mean and unit variance over the pool, shape (candidates, features).

        A constant column carries no information and becomes zero.
        """
        centred = self.descriptors - self.descriptors.mean(axis=0)
        spread = centred.std(axis=0)
        return centred / np.where(spread > 0, spread, 1.0)

"""Finished parts of a study on disk, so that one that was cut off goes on where it was."""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from zipfile import BadZipFile

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from mfal.errors import StudyError

Part = TypeVar("Part", bound=eqx.Module)
_NAME = "study.json"


@dataclass(frozen=True)
class Parts:
    """Parts of one study.

    Attributes:
        folder: that holds them, created if it is missing; None keeps nothing.
        study: fingerprint of the study that they belong to.
    """

    folder: Path | None
    study: str

    def __post_init__(self) -> None:
        """Raise a StudyError if the folder holds the parts of another study."""
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        note = self.folder / _NAME
        if not note.exists():
            _replace(note, json.dumps({"study": self.study}).encode())
        elif json.loads(note.read_text(encoding="utf-8")).get("study") != self.study:
            raise StudyError(f"{self.folder} keeps the parts of another study; name another folder, or remove it")

    def get(self, number: int, kind: type[Part], make: Callable[[], Part]) -> Part:
        """Return a part of this kind from the folder, or else make and keep it.

        Raises:
            StudyError: the file is not whole.
        """
        if self.folder is None:
            return make()
        path = self.folder / f"part-{number:09d}.npz"
        if path.exists():
            return _read(path, kind)
        part = make()
        temporary = path.with_suffix(".tmp.npz")
        np.savez(temporary, **{name: getattr(part, name) for name in kind.__dataclass_fields__})
        os.replace(temporary, path)
        return part


def fingerprint(arrays: object, rest: object) -> str:
    """Return a digest of the arrays in a tree and of the printed `rest`."""
    digest = hashlib.sha256(repr(rest).encode())
    for leaf in jax.tree.leaves(eqx.filter(arrays, eqx.is_array)):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()


def _read(path: Path, kind: type[Part]) -> Part:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return kind(**{name: jnp.asarray(stored[name]) for name in kind.__dataclass_fields__})
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise StudyError(f"{path} is not a whole part of a study ({error}); remove it") from error


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(content)
    os.replace(temporary, path)

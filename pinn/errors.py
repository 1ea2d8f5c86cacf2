"""Typed errors of inference. Every message names the place, the value found and the remedy."""

from pathlib import Path


class InferenceError(Exception):
    """Base of every error that inference raises on purpose."""


class DataRefusedError(InferenceError):
    """Images or fields that cannot be what the model describes: names frame or axis, value and remedy."""


class NotIdentifiedError(InferenceError):
    """A number was asked for that the data cannot give: names the ridge and what would break it."""


class MissingPackageError(InferenceError):
    """An optional package is not installed: names what needs it and the extra that brings it."""

    def __init__(self, need: str, extra: str):
        super().__init__(f"{need} need a package that is not installed; install it with: pip install 'mfal[{extra}]'")


def refuse_file(folder: Path) -> None:
    """Refuse a file where the folder of the results should be.

    Raises:
        DataRefusedError: it is one.
    """
    if folder.exists() and not folder.is_dir():
        raise DataRefusedError(f"--out {folder} is a file; name a folder")

"""MACE checkpoints read as data: nothing that a file carries or names is executed.

mace saves whole modules: a pickle with the source code of its contractions and with TorchScript of e3nn. Allowing the
real classes would run both, so each class of mace, e3nn or torch that a file names is read as an inert record of its
attributes; the architecture is read off the records, the model is built anew by mace and takes over the tensors.
"""

import contextlib
import io
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

INERT_PACKAGES = ("mace.", "e3nn.", "torch.nn.", "torch.fx.")
# What is read as itself: shapes of features, containers, activations (mathematics alone) and numpy's numbers.
IRREPS = ("Irreps", "Irrep", "_MulIr")
CONTAINERS = ("ModuleList", "ParameterList", "Sequential")
_FORCE = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"


class MissingMaceError(ImportError):
    """mace-torch is not installed."""


class CheckpointError(ValueError):
    """A file is not a checkpoint of an energy model of MACE, or has a part that is not known."""


class UnsafeCheckpointError(CheckpointError):
    """A checkpoint names a function or class that no MACE model needs: it could run any program."""


class UnknownCheckpointError(ValueError):
    """Neither a file nor a published model has the name."""


class CheckpointDownloadError(OSError):
    """A published model could not be fetched."""


def find_checkpoint(name_or_path: str | Path) -> Path:
    """Return the file of a checkpoint: a path as it is, a name from mace's cache or else from the network.

    Raises:
        UnknownCheckpointError: there is no such file and no such name.
        CheckpointDownloadError: the network does not give the file.
        MissingMaceError: mace-torch is not installed.
    """
    if Path(name_or_path).is_file():
        return Path(name_or_path)
    import_mace()
    from mace.calculators import foundations_models as published

    if (name := str(name_or_path)) not in published.mace_mp_urls:
        known = sorted(published.mace_mp_urls)
        raise UnknownCheckpointError(f"{name=} is neither a file nor a published model; known: {known}")
    try:
        with contextlib.redirect_stdout(sys.stderr):  # progress, and the licence of some models
            return Path(published.download_mace_mp_checkpoint(name))
    except (OSError, RuntimeError) as error:
        url = published.mace_mp_urls[name]
        raise CheckpointDownloadError(
            f"MACE {name} was not fetched ({error}): download {url} where the network allows and give the file's path"
        ) from error


def read_checkpoint(path: Path, precision: str) -> "torch.nn.Module":
    """Return the model of a checkpoint, on the CPU.

    Args:
        path: written by mace with ``torch.save``; not a compiled one.
        precision: ``float32`` or ``float64``.

    Raises:
        UnsafeCheckpointError: it names something that no MACE model needs.
        CheckpointError: it is no checkpoint of a ScaleShiftMACE.
        MissingMaceError: mace-torch is not installed.
    """
    import_mace()
    from mace.modules import ScaleShiftMACE
    from mace.tools.torch_tools import default_dtype

    record = _read(path)
    if (kind := type(record).__name__) != "ScaleShiftMACE":
        raise CheckpointError(f"{path} holds a {kind}; give a ScaleShiftMACE, as all models of MACE-MP are")
    try:
        with quietly(), default_dtype(precision):
            model = ScaleShiftMACE(**_architecture(record, path))
        _take_over(model, record, path)
    except (AttributeError, RuntimeError, TypeError) as error:
        raise CheckpointError(f"{path} has an architecture that this mace-torch cannot build: {error}") from error
    return model


def import_mace() -> None:
    """Import mace, which must come before e3nn, and undo that it makes every later ``torch.load`` of others unsafe.

    Raises:
        MissingMaceError: mace-torch is not installed.
    """
    before = os.environ.get(_FORCE)
    try:
        with quietly(), contextlib.redirect_stdout(io.StringIO()):  # tells of accelerators that are not installed
            import mace.calculators.foundations_models
            import mace.modules  # noqa: F401
    except ImportError as missing:
        raise MissingMaceError("MACE needs mace-torch: pip install 'mfal[mace]'", name="mace") from missing
    finally:
        if before is None:
            os.environ.pop(_FORCE, None)
        else:
            os.environ[_FORCE] = before


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Drop what torch tells e3nn's authors whenever a model is imported, built or run."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is (deprecated|not supported)", DeprecationWarning)
        warnings.filterwarnings("ignore", "The TorchScript type system doesn't support", UserWarning)
        warnings.filterwarnings("ignore", f"Environment variable {_FORCE} detected", UserWarning)
        yield


def _read(path: Path) -> Any:
    import torch

    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
        known = _known()
        # given by name, so that nothing is imported because a file asks for it
        allowed: list[Any] = [(known.get(name) or _inert(name, path), name) for name in names]
        with torch.serialization.safe_globals([*allowed, *((value, name) for name, value in known.items())]):
            return torch.load(str(path), map_location="cpu", weights_only=True)
    except CheckpointError:
        raise
    except Exception as error:  # a damaged file fails anywhere
        # a line of it only: torch goes on to recommend executing what the file carries
        line = next((line for line in reversed(str(error).splitlines()) if "Error: " in line), str(error)[:80])
        raise CheckpointError(f"{path} cannot be read as a checkpoint of mace ({line.strip()})") from None


def _known() -> dict[str, Any]:
    import numpy as np
    import torch
    from e3nn.o3 import _irreps

    known: dict[str, Any] = {f"e3nn.o3._irreps.{name}": getattr(_irreps, name) for name in IRREPS}
    known |= {f"torch.nn.modules.container.{name}": getattr(torch.nn, name) for name in CONTAINERS}
    known |= {f"torch.nn.functional.{name}": getattr(torch.nn.functional, name) for name in ("silu", "sigmoid")}
    known |= {"torch.abs": torch.abs, "torch.tanh": torch.tanh}
    known |= {"numpy.dtype": np.dtype, "numpy.dtypes.Float64DType": type(np.dtype(np.float64))}
    number = np.float64(0).__reduce__()[0]
    return known | {f"numpy.{core}.multiarray.scalar": number for core in ("core", "_core")}


def _inert(name: str, path: Path) -> type:
    """Return an empty class that stands for the named one, or for the named function."""
    import torch

    if not name.startswith(INERT_PACKAGES):
        raise UnsafeCheckpointError(f"{path} names {name}, which no MACE model needs: do not use this file")

    def start(self: torch.nn.Module, *_: object) -> None:
        torch.nn.Module.__init__(self)

    return type(name.rpartition(".")[2], (torch.nn.Module,), {"__init__": start})


def _architecture(record: Any, path: Path) -> dict[str, Any]:
    """Read the arguments of the model's constructor off its record, as mace itself does."""
    from mace.modules import blocks
    from mace.tools.scripts_utils import extract_config_mace_model

    found = extract_config_mace_model(record)
    for key in ("interaction_cls", "interaction_cls_first", "readout_cls"):
        found[key] = getattr(blocks, found[key].__name__)
    if found["embedding_specs"] is not None:
        raise CheckpointError(
            f"{path} needs {sorted(found['embedding_specs'])} of each structure: choose another model"
        )
    if found["gate"] is not None and not hasattr(found["gate"], "__name__"):
        raise CheckpointError(f"{path} has the unknown activation {type(found['gate']).__name__}")
    return found | {"atomic_numbers": found["atomic_numbers"].tolist(), "cueq_config": None}


def _take_over(model: "torch.nn.Module", record: Any, path: Path) -> None:
    """Copy the tensors; constants that another version of mace lacks or adds may differ, parameters may not."""
    missing, unexpected = model.load_state_dict(record.state_dict(), strict=False)
    here, there = (dict(module.named_parameters()) for module in (model, record))
    lost = sorted(here.keys() & set(missing) | there.keys() & set(unexpected))
    if lost:
        raise CheckpointError(f"{path} has other parameters than this mace-torch builds: {lost[:3]}")

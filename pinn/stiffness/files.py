"""Arrays of a file: NumPy's archives and HDF5, without pickles."""

import zipfile
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from pinn.errors import DataRefusedError, MissingPackageError

# Bytes of all arrays: more does not fit beside its fit in the memory of a workstation.
_LARGEST = 4 * 2**30


def read_arrays(path: Path, known: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Return the arrays of a file whose names are known.

    Raises:
        DataRefusedError: the file is missing, damaged or too large, or a name looks like a misspelt one.
        MissingPackageError: HDF5 files need a package that is not installed.
    """
    if not path.is_file():
        raise DataRefusedError(f"{path} is no file; name an .npz, .h5 or .hdf5 file")
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise DataRefusedError(f"{path}: unknown format {path.suffix!r}; save it as one of {', '.join(_READERS)}")
    try:
        names, arrays = reader(path, known)
    except ImportError as error:
        raise MissingPackageError(f"{path.suffix} files", "images") from error
    except DataRefusedError:
        raise
    # Damaged archives make their parsers raise whatever they happen to meet.
    except Exception as error:
        what = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        raise DataRefusedError(f"{path} cannot be read: {what}; write it again, arrays of numbers only") from error
    _refuse_misspelt(names, known, path)
    return arrays


def _read_numpy(path: Path, known: tuple[str, ...]) -> tuple[list[str], dict[str, np.ndarray]]:
    with zipfile.ZipFile(path) as archive:
        sizes = {item.filename.removesuffix(".npy"): item.file_size for item in archive.infolist()}
    _refuse_large(sum(size for name, size in sizes.items() if name in known), path)
    with np.load(path, allow_pickle=False) as arrays:
        return list(arrays.files), {name: arrays[name] for name in arrays.files if name in known}


def _read_hdf5(path: Path, known: tuple[str, ...]) -> tuple[list[str], dict[str, np.ndarray]]:
    import h5py

    with h5py.File(path, "r") as file:
        found = {name: item for name, item in file.items() if isinstance(item, h5py.Dataset)}
        read = {name: item for name, item in found.items() if name in known}
        _refuse_large(sum(item.nbytes for item in read.values()), path)
        return list(found), {name: _plain(item) for name, item in read.items()}


def _plain(item) -> np.ndarray:
    """Return numbers as they are and text as text: HDF5 hands out bytes."""
    value = item[()]
    return np.asarray(value.decode() if isinstance(value, bytes) else value)


def _refuse_large(size: int, path: Path) -> None:
    if size > _LARGEST:
        raise DataRefusedError(f"{path} holds {size / 2**30:.0f} GiB, over 4; crop the window, or bin its points")


def _refuse_misspelt(names: list[str], known: tuple[str, ...], path: Path) -> None:
    """Refuse what looks like a known name: a force that is not read would be missed by nobody."""
    missing = [name for name in known if name not in names]
    for name in sorted(set(names) - set(known)):
        close = get_close_matches(name.lower(), missing, 1, 0.8)
        if close:
            raise DataRefusedError(f"{path}: {name!r} is read by nobody; rename it to {close[0]!r}, or take it out")


_READERS = {".npz": _read_numpy, ".h5": _read_hdf5, ".hdf5": _read_hdf5}

"""Image stacks in files: TIFF, NumPy, HDF5 and Zarr, and the formats of microscopes through RosettaSciIO."""

import logging
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pinn.amounts import Amount, known_unit
from pinn.errors import DataRefusedError, MissingPackageError
from pinn.units import METRES, SECONDS

# Bytes of one series: more does not fit beside its fit in the memory of a workstation.
_LARGEST = 4 * 2**30
_FRAMES, _TIMES = ("frames", "images", "image", "data"), ("times", "time", "t")


@dataclass(frozen=True)
class Stack:
    """Images as a file has them, and what the file says of them.

    Attributes:
        values: pixels in the order of the file.
        axes: a letter an axis: T, Z, Y, X, C (channel), S (colour), "?" where the file does not say.
        pixel_size: None where the file does not say.
        times: of the frames; None where the file does not say.
        time_unit: of `times`; empty where the file does not say.
    """

    values: np.ndarray
    axes: str
    pixel_size: Amount | None = None
    times: np.ndarray | None = None
    time_unit: str = ""


def read_stack(path: Path, dataset: str | None) -> Stack:
    """Read the images of a file, or of `dataset` in it, with what the file says of their axes, size and times.

    Raises:
        DataRefusedError: the file is missing, damaged, too large, or has no or several stacks.
        MissingPackageError: the format needs a package that is not installed.
    """
    if not path.exists():
        raise DataRefusedError(f"{path} does not exist")
    reader = _READERS.get(path.suffix.lower(), _read_folder if path.is_dir() else _read_microscope)
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return reader(path, dataset)
    except ImportError as error:
        extra = "microscopy" if reader is _read_microscope else "images"
        raise MissingPackageError(f"{path.suffix} files", extra) from error
    except DataRefusedError:
        raise
    # The parsers of seven formats raise whatever a damaged file leads them to, recursion and memory errors included.
    except Exception as error:
        what = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        raise DataRefusedError(
            f"{path} cannot be read as {path.suffix or 'images'}: {what}; export it again"
        ) from error


def _read_tiff(path: Path, dataset: str | None) -> Stack:
    from tifffile import TiffFile

    with TiffFile(path) as file:
        number = _series_number(len(file.series), dataset, path)
        series = file.series[number]
        _refuse_large(series.shape, series.dtype, path)
        axes = "".join(letter if letter in "TZYXCS" else "?" for letter in series.axes)
        told = _ome(file.ome_metadata, number, series.shape[axes.index("T")] if "T" in axes else 0)
        told = told or _imagej(file, series.shape[axes.index("T")] if "T" in axes else 0)
        return Stack(series.asarray(), axes, **told)


def _read_folder(path: Path, dataset: str | None) -> Stack:
    """Read one TIFF file a frame, in the order of the numbers in their names."""
    from tifffile import imread

    files = [item for item in path.iterdir() if item.suffix.lower() in (".tif", ".tiff")]
    files.sort(key=lambda item: [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", item.name)])
    if dataset is not None or not files:
        raise DataRefusedError(f"{path} is a folder with {len(files)} TIFF files and no datasets; one a frame is read")
    first = imread(files[0])
    _refuse_large((len(files), *first.shape), first.dtype, path)
    frames = [first, *(imread(file) for file in files[1:])]
    odd = next((number for number, frame in enumerate(frames) if frame.shape != first.shape), None)
    if odd is not None:
        raise DataRefusedError(
            f"{files[odd]}: {frames[odd].shape} pixels, {files[0].name} has {first.shape}; sort it out"
        )
    return Stack(np.stack(frames), "T" + "YX"[-first.ndim :] if first.ndim <= 2 else "T" + "?" * first.ndim)


def _series_number(count: int, dataset: str | None, path: Path) -> int:
    if dataset is None and count != 1:
        raise DataRefusedError(f"{path} has {count} image series; name one: --dataset 0 to {count - 1}")
    if dataset is not None and not (dataset.isdecimal() and int(dataset) < count):
        raise DataRefusedError(f"{path} has no series {dataset!r}; --dataset is a number from 0 to {count - 1}")
    return int(dataset or 0)


def _ome(text: str | None, number: int, frames: int) -> dict[str, Any]:
    """Return pixel size and times of OME metadata, where there are any."""
    from tifffile import xml2dict

    if not text:
        return {}
    image = xml2dict(text)["OME"]["Image"]
    pixels = (image[number] if isinstance(image, list) else image)["Pixels"]
    sizes = {float(pixels[key]) for key in ("PhysicalSizeX", "PhysicalSizeY") if key in pixels}
    told = {"pixel_size": _square(sizes, str(pixels.get("PhysicalSizeXUnit", "µm")))}
    planes = pixels.get("Plane", [])
    listed = planes if isinstance(planes, list) else [planes]
    deltas = {int(plane["TheT"]): plane for plane in listed if "DeltaT" in plane}  # codespell:ignore
    if frames and len(deltas) == frames:
        unit = str(deltas[0].get("DeltaTUnit", "s"))
        return told | {"times": np.array([deltas[i]["DeltaT"] for i in range(frames)], float), "time_unit": unit}
    if frames and pixels.get("TimeIncrement"):
        times = np.arange(frames) * float(pixels["TimeIncrement"])
        return told | {"times": times, "time_unit": str(pixels.get("TimeIncrementUnit", "s"))}
    return told


def _imagej(file: Any, frames: int) -> dict[str, Any]:
    """Return pixel size and times of ImageJ metadata, where there are any."""
    facts = file.imagej_metadata or {}
    told: dict[str, Any] = {}
    unit = known_unit(str(facts.get("unit", "")).replace("\\u00B5", "µ"), METRES)
    resolution = [file.pages[0].tags.get(name) for name in ("XResolution", "YResolution")]
    if unit and all(tag is not None for tag in resolution):
        told["pixel_size"] = _square({tag.value[1] / tag.value[0] for tag in resolution}, unit)
    if frames and facts.get("finterval"):
        told |= {"times": np.arange(frames) * float(facts["finterval"]), "time_unit": str(facts.get("tunit", "s"))}
    return told


def _square(sizes: set[float], unit: str) -> Amount | None:
    """Return the one edge of the pixels, None where the file does not say or its unit is no length."""
    known = known_unit(unit, METRES)
    if not sizes or known is None or min(sizes) <= 0.0:
        return None
    if max(sizes) > 1.001 * min(sizes):
        raise DataRefusedError(f"pixels are {min(sizes):g} by {max(sizes):g} {known}; resample to square pixels")
    return Amount(min(sizes), known)


def _read_numpy(path: Path, dataset: str | None) -> Stack:
    import zipfile

    if path.suffix.lower() == ".npy":
        values = np.load(path, mmap_mode="r", allow_pickle=False)
        _refuse_large(values.shape, values.dtype, path)
        return Stack(np.array(values), "?" * values.ndim)
    with zipfile.ZipFile(path) as archive:
        _refuse_large((sum(item.file_size for item in archive.infolist()),), np.dtype(np.uint8), path)
    with np.load(path, allow_pickle=False) as arrays:
        found = {name: arrays[name] for name in arrays.files}
    values = found[_chosen({name: array.ndim for name, array in found.items()}, dataset, path)]
    units = {name: {"units": str(found["time_unit"])} for name in _TIMES if "time_unit" in found}
    return Stack(values, "?" * values.ndim, None, *_times(found, units))


def _read_hdf5(path: Path, dataset: str | None) -> Stack:
    import h5py

    found: dict[str, Any] = {}
    with h5py.File(path, "r") as file:
        file.visititems(lambda name, item: found.update({name: item}) if isinstance(item, h5py.Dataset) else None)
        chosen = found[_chosen({name: item.ndim for name, item in found.items()}, dataset, path)]
        _refuse_large(chosen.shape, chosen.dtype, path)
        beside = {name.rpartition("/")[2]: item for name, item in found.items()}
        times = {name: beside[name][...] for name in _TIMES if name in beside and beside[name].ndim == 1}
        attributes = {name: dict(beside[name].attrs) for name in times}
        return Stack(chosen[...], "?" * chosen.ndim, None, *_times(times, attributes))


def _read_zarr(path: Path, dataset: str | None) -> Stack:
    import zarr

    opened = zarr.open(path, mode="r")
    if isinstance(opened, zarr.Array):
        _refuse_large(opened.shape, opened.dtype, path)
        return Stack(np.asarray(opened[...]), "?" * opened.ndim)
    found = {name: item for name, item in opened.members(max_depth=None) if isinstance(item, zarr.Array)}
    scales: Any = opened.attrs.get("ome", opened.attrs)
    multiscale = scales.get("multiscales") if isinstance(scales, Mapping) else None
    if multiscale and dataset is None:
        return _ome_zarr(found, multiscale[0], path)
    chosen = found[_chosen({name: item.ndim for name, item in found.items()}, dataset, path)]
    _refuse_large(chosen.shape, chosen.dtype, path)
    times = {name: np.asarray(found[name][...]) for name in _TIMES if name in found and found[name].ndim == 1}
    attributes = {name: dict(found[name].attrs) for name in times}
    return Stack(np.asarray(chosen[...]), "?" * chosen.ndim, None, *_times(times, attributes))


def _ome_zarr(found: Mapping[str, Any], multiscale: Mapping[str, Any], path: Path) -> Stack:
    """Read the finest level of an OME-Zarr image with its axes and scales."""
    finest = multiscale["datasets"][0]
    array = found[finest["path"]]
    _refuse_large(array.shape, array.dtype, path)
    axes = multiscale["axes"]
    letters = "".join(axis["name"].upper() if axis["name"].upper() in "TZYXC" else "?" for axis in axes)
    scale = next((step["scale"] for step in finest.get("coordinateTransformations", []) if step["type"] == "scale"), [])
    edges = {float(s) for s, axis in zip(scale, axes, strict=False) if axis.get("type") == "space"}
    unit = next((str(axis.get("unit", "")) for axis in axes if axis.get("type") == "space"), "")
    times, time_unit = None, ""
    if scale and "T" in letters:
        place = letters.index("T")
        times, time_unit = np.arange(array.shape[place]) * float(scale[place]), str(axes[place].get("unit", ""))
        times, time_unit = (times, time_unit) if time_unit else (None, "")
    return Stack(np.asarray(array[...]), letters, _square(edges, unit), times, time_unit)


def _read_microscope(path: Path, dataset: str | None) -> Stack:
    """Read a format of microscopes by RosettaSciIO."""
    from importlib import import_module

    plugins = import_module("rsciio").IO_PLUGINS
    names = [plugin["api"] for plugin in plugins if path.suffix.lower().lstrip(".") in plugin["file_extensions"]]
    if not names:
        known = ", ".join(sorted(_READERS))
        raise DataRefusedError(f"{path}: unknown format {path.suffix!r}; save it as one of {known}")
    signals = import_module(names[0]).file_reader(str(path), lazy=True)
    signal = signals[_series_number(len(signals), dataset, path)]
    _refuse_large(signal["data"].shape, signal["data"].dtype, path)
    return _of_signal(np.asarray(signal["data"]), sorted(signal["axes"], key=lambda a: a.get("index_in_array", 0)))


def _of_signal(values: np.ndarray, axes: list[dict[str, Any]]) -> Stack:
    """Tell time from space by the units of the axes."""
    lengths = [known_unit(str(axis.get("units", "")), METRES) for axis in axes]
    durations = [known_unit(str(axis.get("units", "")), SECONDS) for axis in axes]
    letters, spatial = "", ["X", "Y", "Z"][: sum(unit is not None for unit in lengths)]
    for is_length, is_time in zip(lengths, durations, strict=True):
        letters += spatial.pop() if is_length else "T" if is_time else "?"
    edges = {abs(float(axis["scale"])) for axis, unit in zip(axes, lengths, strict=True) if unit}
    size = _square(edges, next((unit for unit in lengths if unit), ""))
    if letters.count("T") != 1:
        return Stack(values, letters.replace("T", "?"), size)
    time = axes[letters.index("T")]
    return Stack(values, letters, size, np.arange(time["size"]) * float(time["scale"]), str(time["units"]))


def _chosen(dimensions: Mapping[str, int], dataset: str | None, path: Path) -> str:
    """Return the name of the images among the arrays of a file."""
    stacks = [name for name, count in dimensions.items() if count >= 3]
    if dataset is not None:
        if dataset not in dimensions:
            raise DataRefusedError(f"{path} has no array {dataset!r}; it has {sorted(dimensions)}")
        return dataset
    named = [name for name in stacks if name.rpartition("/")[2] in _FRAMES]
    for names in (named, stacks):
        if len(names) == 1:
            return names[0]
    if not stacks:
        raise DataRefusedError(f"{path} has no array of three or more axes, only {dict(dimensions)}; stack the frames")
    raise DataRefusedError(f"{path} has several stacks, {sorted(stacks)}; name one with --dataset")


def _times(
    arrays: Mapping[str, np.ndarray], attributes: Mapping[str, Mapping[str, Any]]
) -> tuple[np.ndarray | None, str]:
    """Return times and their unit from the arrays beside the images."""
    for name in _TIMES:
        if name in arrays:
            unit = attributes.get(name, {}).get("units", attributes.get(name, {}).get("unit", ""))
            return arrays[name], unit.decode(errors="replace") if isinstance(unit, bytes) else str(unit)
    return None, ""


def _refuse_large(shape: tuple[int, ...], dtype: np.dtype, path: Path) -> None:
    size = float(np.prod([float(n) for n in shape])) * dtype.itemsize
    if size > _LARGEST:
        raise DataRefusedError(f"{path} holds {shape} = {size / 2**30:.0f} GiB, over 4; crop it, or bin its pixels")


_READERS = {
    ".tif": _read_tiff, ".tiff": _read_tiff, ".npz": _read_numpy, ".npy": _read_numpy,
    ".h5": _read_hdf5, ".hdf5": _read_hdf5, ".zarr": _read_zarr,
}  # fmt: skip

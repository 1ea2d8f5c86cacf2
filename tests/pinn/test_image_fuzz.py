"""Damaged image files: read, or refused with a typed error; never another exception, and never a crash."""

import shutil
import zlib

import numpy as np
import pytest

from pinn.errors import DataRefusedError
from pinn.images.reading import Told, read_images
from tests.pinn.scenes import circle

tifffile = pytest.importorskip("tifffile")
h5py = pytest.importorskip("h5py")
zarr = pytest.importorskip("zarr")

SCENE = circle(frames=4, pixels=12).astype(np.float32)
MUTANTS = 60


def write(path):
    """Write the scene in the format of the suffix."""
    if path.suffix == ".tif":
        tifffile.imwrite(path, SCENE, ome=True, metadata={"axes": "TYX", "PhysicalSizeX": 1.0, "TimeIncrement": 2.0})
    elif path.suffix == ".npz":
        np.savez(path, frames=SCENE, times=np.arange(4.0), time_unit="s")
    elif path.suffix == ".npy":
        np.save(path, SCENE)
    elif path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file["frames"], file["times"] = SCENE, np.arange(4.0)
    else:
        group = zarr.open_group(path, mode="w")
        group.create_array("frames", data=SCENE)
        group.create_array("times", data=np.arange(4.0))


def mutate(path, rng):
    """Damage a file as copying, editing and cutting do."""
    content = bytearray(path.read_bytes())
    kind = rng.integers(4)
    if kind == 0 or not content:
        content = content[: rng.integers(len(content) + 1)]
    elif kind == 1:
        for place in rng.integers(min(len(content), 2048), size=rng.integers(1, 9)):
            content[place] = rng.integers(256)
    elif kind == 2:
        place = rng.integers(len(content))
        content[place : place + rng.integers(64)] = rng.bytes(rng.integers(64))
    else:
        place = rng.integers(len(content))
        content[place:place] = content[: rng.integers(512)]
    path.write_bytes(content)


@pytest.mark.parametrize("suffix", [".tif", ".npz", ".npy", ".h5", ".zarr"])
def test_damaged_files_are_read_or_refused(tmp_path, suffix):
    whole = tmp_path / f"whole{suffix}"
    write(whole)
    rng = np.random.default_rng(zlib.crc32(suffix.encode()))
    refused = 0
    for number in range(MUTANTS):
        path = tmp_path / f"{number}{suffix}"
        (shutil.copytree if whole.is_dir() else shutil.copy)(whole, path)
        files = sorted(item for item in path.rglob("*") if item.is_file()) if path.is_dir() else [path]
        mutate(files[rng.integers(len(files))], rng)
        try:
            series = read_images(path, Told(in_pixels=True))
        except DataRefusedError as error:
            refused += 1
            assert str(path) in str(error)
        else:
            assert series.frames.dtype == np.float64 and np.isfinite(series.times).all()
    # Otherwise nothing was damaged, and the test tests nothing.
    assert refused > MUTANTS // 4

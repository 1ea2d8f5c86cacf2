"""Image files: what is read from each format, and what is refused with its frame, value and remedy."""

import re

import numpy as np
import pytest

from pinn.amounts import Amount
from pinn.errors import DataRefusedError, MissingPackageError
from pinn.images.reading import Told, read_images
from tests.pinn.scenes import circle

tifffile = pytest.importorskip("tifffile")
h5py = pytest.importorskip("h5py")
zarr = pytest.importorskip("zarr")

MICRONS = Told(pixel_size=Amount(0.2, "um"), frame_time=Amount(2.0, "s"))
SCENE = circle()


def npz(folder, frames, **others):
    path = folder / "scene.npz"
    np.savez(path, frames=frames, **others)
    return path


def refusal(path, told=MICRONS):
    with pytest.raises(DataRefusedError) as caught:
        read_images(path, told)
    return str(caught.value)


def test_imagej_tells_axes_pixel_size_and_times(tmp_path):
    path = tmp_path / "scene.tif"
    metadata = {"axes": "TYX", "finterval": 2.5, "unit": "um"}
    tifffile.imwrite(path, SCENE.astype(np.float32), imagej=True, resolution=(5.0, 5.0), metadata=metadata)
    series = read_images(path, Told())
    assert (series.pixel_size, series.length_unit, series.time_unit) == (pytest.approx(0.2), "um", "s")
    np.testing.assert_allclose(series.times, 2.5 * np.arange(6))
    np.testing.assert_allclose(series.frames, SCENE, rtol=1e-6)


def test_ome_tiff_tells_irregular_times(tmp_path):
    path = tmp_path / "scene.ome.tif"
    when = [0.0, 1.0, 2.0, 4.0, 8.0, 16.0]
    metadata = {
        "axes": "TYX", "PhysicalSizeX": 20.0, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 20.0,
        "PhysicalSizeYUnit": "nm", "Plane": {"DeltaT": when, "DeltaTUnit": ["ms"] * 6},
    }  # fmt: skip
    tifffile.imwrite(path, SCENE, metadata=metadata)
    series = read_images(path, Told())
    assert (series.pixel_size, series.length_unit, series.time_unit) == (20.0, "nm", "ms")
    np.testing.assert_array_equal(series.times, when)


def test_a_folder_of_frames_is_read_in_the_order_of_its_numbers(tmp_path):
    for number, frame in enumerate(circle(frames=11)):
        tifffile.imwrite(tmp_path / f"frame{number}.tif", frame)
    np.testing.assert_array_equal(read_images(tmp_path, MICRONS).frames, circle(frames=11))
    tifffile.imwrite(tmp_path / "frame4.tif", SCENE[0, :20])
    assert "frame4.tif: (20, 32) pixels" in refusal(tmp_path)


def test_times_of_an_hdf5_file_are_used(tmp_path):
    path = tmp_path / "scene.h5"
    with h5py.File(path, "w") as file:
        file["run/frames"] = SCENE
        file["run/times"] = [10.0, 11.0, 13.0, 17.0, 18.0, 30.0]
        file["run/times"].attrs["units"] = "minutes"
    series = read_images(path, Told(pixel_size=Amount(3.0, "nm")))
    np.testing.assert_array_equal(series.times, [0.0, 1.0, 3.0, 7.0, 8.0, 20.0])
    assert series.time_unit == "min"


def test_times_without_a_unit_are_refused_until_it_is_told(tmp_path):
    path = npz(tmp_path, SCENE, times=2.0 * np.arange(6))
    size = Amount(0.2, "um")
    assert "--time-unit" in refusal(path, Told(pixel_size=size))
    assert read_images(path, Told(pixel_size=size, time_unit="h")).time_unit == "h"


def test_frame_time_must_agree_with_the_times_of_the_file(tmp_path):
    path = npz(tmp_path, SCENE, times=[0.0, 2.0, 4.0, 7.0, 9.0, 11.0], time_unit="s")
    assert "frame 3 comes 3 s later" in refusal(path)
    with pytest.raises(DataRefusedError, match="time 2 is 1"):
        read_images(npz(tmp_path, SCENE, times=[0.0, 2.0, 1.0, 7.0, 9.0, 11.0], time_unit="s"), MICRONS)


def test_ome_zarr_tells_axes_and_scales(tmp_path):
    group = zarr.open_group(tmp_path / "scene.zarr", mode="w")
    group.create_array("0", data=SCENE)
    axes = [{"name": "t", "type": "time", "unit": "second"}]
    axes += [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
    level = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [0.5, 0.1, 0.1]}]}
    group.attrs["multiscales"] = [{"axes": axes, "datasets": [level]}]
    series = read_images(tmp_path / "scene.zarr", Told())
    assert (series.pixel_size, series.length_unit, series.times[-1], series.time_unit) == (0.1, "um", 2.5, "s")


def test_plain_zarr_arrays_are_read(tmp_path):
    zarr.save_array(tmp_path / "scene.zarr", SCENE)
    np.testing.assert_array_equal(read_images(tmp_path / "scene.zarr", MICRONS).frames, SCENE)


def test_integers_become_fractions_and_noise_is_kept(tmp_path):
    counts = np.round(SCENE * 65535).astype(np.uint16)
    frames = read_images(npz(tmp_path, counts), MICRONS).frames
    np.testing.assert_array_equal(frames, counts / 65535)


def test_missing_pixels_and_frames_stay_missing(tmp_path):
    frames = SCENE.copy()
    frames[2], frames[4, :5] = np.nan, np.nan
    np.testing.assert_array_equal(np.isnan(read_images(npz(tmp_path, frames), MICRONS).frames), np.isnan(frames))


def test_in_pixels_needs_no_unit(tmp_path):
    series = read_images(npz(tmp_path, SCENE), Told(in_pixels=True))
    assert (series.pixel_size, series.length_unit, series.time_unit) == (1.0, "pixel", "frame")
    assert "exclude each other" in refusal(tmp_path / "scene.npz", Told(pixel_size=Amount(1, "um"), in_pixels=True))


def changed(**places):
    """Return the scene with some frames replaced."""
    frames = SCENE.copy()
    for name, value in places.items():
        frames[int(name[1:])] = value
    return frames


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (SCENE[:2], "2 frames with pixels"),
        (changed(_0=np.nan, _1=np.nan, _2=np.nan, _3=np.nan), "2 frames with pixels of 6"),
        (changed(_3=0.25), "frame 3 is 0.25 everywhere"),
        (changed(_3=SCENE[2]), "frame 3 is an exact copy of frame 2"),
        (changed(_1=np.inf), "frame 1 has infinite pixels"),
        (changed(_5=1e300), "frame 5 has a pixel beyond"),
        (np.minimum(SCENE, 0.7), "of frame 0 is at 0.7, the highest value: saturated"),
        (np.maximum(SCENE, 0.2), "of frame 0 is at 0.2, the lowest value: saturated"),
        (np.minimum(SCENE * 370, 255).astype(np.uint8), "is at 255, the highest value: saturated"),
        (SCENE > 0.45, "a segmentation"),
        ((SCENE > 0.45).astype(float), "a segmentation"),
        (1.0 * (SCENE > 0.3) + 1.0 * (SCENE > 0.45) + 1.0 * (SCENE > 0.6), "only 4 values"),
        (SCENE + 1j, "are no intensities"),
        (SCENE[:, :6], "at least 8 an axis"),
        (np.repeat((255 * SCENE).astype(np.uint8)[..., None], 3, axis=-1), "3 colours a pixel"),
        (SCENE[0], "no array of three or more axes"),
    ],
)  # fmt: skip
def test_unusable_frames_are_refused_by_name(tmp_path, frames, message):
    assert message in refusal(npz(tmp_path, frames))


def test_a_field_without_noise_is_not_called_saturated(tmp_path):
    read_images(npz(tmp_path, circle(noise=0.0, pixels=64)), MICRONS)


def test_axes_are_found_where_evident_and_asked_for_where_not(tmp_path):
    last = np.moveaxis(SCENE, 0, -1)
    np.testing.assert_array_equal(read_images(npz(tmp_path, last), MICRONS).frames, SCENE)
    assert "say --axes TYX" in refusal(npz(tmp_path, circle(frames=32, pixels=32)))


def test_a_wrong_order_of_axes_is_refused(tmp_path):
    last = np.moveaxis(circle(noise=0.002), 0, -1)
    told = Told(axes="TYX", pixel_size=MICRONS.pixel_size, frame_time=MICRONS.frame_time)
    assert "correct --axes" in refusal(npz(tmp_path, last), told)
    assert "must be T and some of" in refusal(npz(tmp_path, last), Told(axes="QYX"))
    assert "2 letters" in refusal(npz(tmp_path, last), Told(axes="TX"))
    path = tmp_path / "scene.tif"
    tifffile.imwrite(path, SCENE, metadata={"axes": "TYX"})
    assert "calls axis 0 Y, the file T" in refusal(path, Told(axes="YTX"))


def test_sizes_must_be_told_once_and_be_those_of_a_microscope(tmp_path):
    assert "no pixel size" in refusal(npz(tmp_path, SCENE), Told(frame_time=Amount(1, "s")))
    assert "no times" in refusal(tmp_path / "scene.npz", Told(pixel_size=Amount(1, "um")))
    assert "no image of a microstructure" in refusal(tmp_path / "scene.npz", Told(pixel_size=Amount(1e-3, "angstrom")))
    path = tmp_path / "scene.tif"
    metadata = {"axes": "TYX", "unit": "um"}
    tifffile.imwrite(path, SCENE.astype(np.float32), imagej=True, resolution=(5.0, 5.0), metadata=metadata)
    assert "says 0.2 um" in refusal(path, Told(pixel_size=Amount(200.0, "um")))
    tifffile.imwrite(path, SCENE.astype(np.float32), imagej=True, resolution=(5.0, 4.0), metadata=metadata)
    assert "resample to square pixels" in refusal(path)


def test_several_stacks_must_be_chosen_from(tmp_path):
    path = tmp_path / "scene.npz"
    np.savez(path, bright=SCENE, dark=SCENE[::-1])
    assert "['bright', 'dark']" in refusal(path)
    assert "no array 'grey'" in refusal(path, Told(dataset="grey"))
    chosen = Told(dataset="dark", pixel_size=MICRONS.pixel_size, frame_time=MICRONS.frame_time)
    np.testing.assert_array_equal(read_images(path, chosen).frames, SCENE[::-1])


def test_no_object_of_a_file_is_ever_built(tmp_path):
    path = tmp_path / "scene.npz"
    np.savez(path, frames=np.array([[[print]]], dtype=object), allow_pickle=True)
    assert "allow_pickle=False" in refusal(path)


def test_huge_claims_are_refused_before_memory_is_taken(tmp_path):
    with h5py.File(tmp_path / "scene.h5", "w") as file:
        file.create_dataset("frames", shape=(10**6, 4096, 4096), dtype="f4", chunks=(1, 64, 64))
    assert "GiB, over 4" in refusal(tmp_path / "scene.h5")


def test_formats_of_microscopes_name_the_extra_that_reads_them(tmp_path, monkeypatch):
    (tmp_path / "scene.dm4").write_bytes(b"")
    monkeypatch.setitem(__import__("sys").modules, "rsciio", None)
    with pytest.raises(MissingPackageError, match=re.escape("pip install 'mfal[microscopy]'")):
        read_images(tmp_path / "scene.dm4", MICRONS)
    assert "does not exist" in refusal(tmp_path / "other.dm4")


def test_axes_of_a_microscope_are_told_by_their_units(tmp_path):
    hspy = pytest.importorskip("rsciio.hspy")
    names = (("time", "s", 3.0), ("y", "nm", 0.5), ("x", "nm", 0.5))
    same = {"offset": 0.0, "navigate": False, "_type": "UniformDataAxis"}
    axes = [
        same | {"name": name, "size": size, "scale": scale, "units": unit}
        for (name, unit, scale), size in zip(names, SCENE.shape, strict=True)
    ]
    facts = {"attributes": {"_lazy": False}, "package_info": {"package": "none", "package_version": "0"}}
    facts["metadata"] = {"General": {"title": "scene"}}
    others = ("original_metadata", "learning_results", "models", "tmp_parameters")
    hspy.file_writer(str(tmp_path / "scene.hspy"), {"data": SCENE, "axes": axes} | facts | {key: {} for key in others})
    series = read_images(tmp_path / "scene.hspy", Told())
    np.testing.assert_array_equal(series.frames, SCENE)
    assert (series.pixel_size, series.length_unit, series.times[-1], series.time_unit) == (0.5, "nm", 15.0, "s")

"""Problems of many kinds with known answers, for which the advisor has to name a back end before anything is run."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.inverse.truth import integrate, random_start
from physics.phase_field.equations import CahnHilliard as CahnHilliardEquation
from physics.phase_field.evolve import evolve, schedule
from physics.phase_field.grid import Grid
from pinn.advisor import Situation
from pinn.phase_field.models import AllenCahn, CahnHilliard, Camera, Model
from pinn.series import ImageSeries

# Of the Allen-Cahn scenes: a in px^2 per unit of time, interface 3 px wide, one unit in all.
_GRADIENT, _WELL = 60.0, 60.0 * 2 / 9
_PIXELS, _FRAMES, _FINER = 32, 10, 3


@dataclass(frozen=True)
class Task:
    """What a back end is given.

    Attributes:
        series: noisy data.
        model: what is told of the equation.
        initial: the first field where it is known.
        rates: true a and b; None where none exist, so that no trusted answer is right.
        camera: what is told of it.
    """

    series: ImageSeries
    model: Model
    initial: np.ndarray | None
    rates: tuple[float, float] | None
    camera: Camera = field(default_factory=lambda: Camera(blur_px=0.0))


@dataclass(frozen=True)
class Case:
    """A named problem: what the advisor is told, and how the data are made (by seed)."""

    name: str
    situation: Situation
    make: Callable[[int], Task]


def cases() -> tuple[Case, ...]:
    """Return the table."""
    open_edge = replace(Situation(), edges_seen=False)
    return (
        Case("known start, 1 % noise", Situation(), lambda seed: _task(seed, 0.01, known=True)),
        Case("unknown start, 1 % noise", Situation(), lambda seed: _task(seed, 0.01)),
        Case("unknown start, 10 % noise", Situation(), lambda seed: _task(seed, 0.1)),
        Case("irregular times", Situation(), _irregular),
        Case("a tenth of the pixels", replace(Situation(), first_field_told=False), _sparse),
        Case("every datum at its own time", Situation(frames=400), _scattered),
        Case("frames missing", Situation(), _gaps),
        Case("unknown point-spread function", replace(Situation(), blur_apart=False), _blurred),
        Case("window with unseen surroundings", open_edge, _window),
        Case("interface from beyond a window", replace(open_edge, enters=True), _entering),
        Case("composition that separates, 1-D", Situation(), _separation),
        Case("volumes", Situation(), _volume),
        Case("segmentation", replace(Situation(), intensities=False), _segmentation),
        Case("two frames", replace(Situation(), frames=2), _two_frames),
        Case("no law: drifting texture", replace(Situation(), law="none"), _texture),
        Case("flat interface at rest", replace(Situation(), curved=False), _flat),
    )


@cache
def _scene(
    seed: int, pixels: int = _PIXELS, times: tuple[float, ...] = tuple(np.linspace(0, 1, _FRAMES))
) -> np.ndarray:
    """Return the order parameter at the pixels, made by finite differences on a finer grid."""
    start = random_start(seed, pixels * _FINER, 1 / _FINER)
    return integrate(start, _GRADIENT, _WELL, 0.0, 1 / _FINER, np.array(times))[:, ::_FINER, ::_FINER]


def _noisy(frames: np.ndarray, noise: float, seed: int) -> np.ndarray:
    return frames + noise * np.random.default_rng(seed + 1000).standard_normal(frames.shape)


def _task(seed: int, noise: float, known: bool = False) -> Task:
    frames = _scene(seed)
    series = ImageSeries(_noisy(frames, noise, seed), np.linspace(0, 1, _FRAMES))
    return Task(series, AllenCahn("periodic"), frames[0] if known else None, (_GRADIENT, _WELL))


def _irregular(seed: int) -> Task:
    times = np.concatenate(([0.0], np.cumsum(np.random.default_rng(seed).exponential(size=_FRAMES - 1))))
    times = times / times[-1]
    series = ImageSeries(_noisy(_scene(seed, times=tuple(times)), 0.05, seed), times)
    return replace(_task(seed, 0.05), series=series)


def _sparse(seed: int) -> Task:
    task = _task(seed, 0.05)
    lost = np.random.default_rng(seed).random(task.series.frames.shape) > 0.1
    return replace(task, series=replace(task.series, frames=np.where(lost, np.nan, task.series.frames)))


def _scattered(seed: int) -> Task:
    """Return four hundred pixels, each at a time of its own; the start is known."""
    rng, count = np.random.default_rng(seed), 400
    times = np.concatenate(([0.0], np.sort(rng.uniform(size=count - 2)), [1.0]))
    frames = _noisy(_scene(seed, times=tuple(times)), 0.05, seed).reshape(count, -1)
    kept = rng.integers(frames.shape[1], size=(count, 1)) == np.arange(frames.shape[1])
    series = ImageSeries(np.where(kept, frames, np.nan).reshape(count, _PIXELS, _PIXELS), times)
    return replace(_task(seed, 0.05, known=True), series=series)


def _gaps(seed: int) -> Task:
    task = _task(seed, 0.05)
    frames = task.series.frames.copy()
    frames[[2, 3, 6, 8]] = np.nan
    return replace(task, series=replace(task.series, frames=frames))


def _blurred(seed: int) -> Task:
    from scipy.ndimage import gaussian_filter

    frames = np.stack([gaussian_filter(frame, 1.0, mode="wrap") for frame in _scene(seed)])
    series = ImageSeries(0.1 + 0.6 * _noisy(frames, 0.02, seed), np.linspace(0, 1, _FRAMES))
    return replace(_task(seed, 0.02), series=series, camera=Camera())


def _window(seed: int) -> Task:
    frames = _scene(seed, pixels=2 * _PIXELS)[:, 16 : 16 + _PIXELS, 16 : 16 + _PIXELS]
    series = ImageSeries(_noisy(frames, 0.05, seed), np.linspace(0, 1, _FRAMES))
    return Task(series, AllenCahn("open"), None, (_GRADIENT, _WELL))


def _entering(seed: int) -> Task:
    from benchmarks.inverse.window import CAMERA, GRADIENT, WELL, window

    return Task(window(seed), AllenCahn("open"), None, (GRADIENT, WELL), CAMERA)


def _separation(seed: int) -> Task:
    """Return a composition from its first waves on, by the spectral method on a grid four times finer."""
    points, finer, rates = 128, 4, (800.0, 800.0 * 2 / 9)
    grid = Grid((points * finer,), 1 / finer, "periodic")
    start = 0.5 + 0.05 * np.random.default_rng(seed).standard_normal(points // 4).repeat(4 * finer)
    times = np.concatenate(([-0.3], np.linspace(0, 1, 2 * _FRAMES)))
    equation = CahnHilliardEquation(jnp.asarray(rates[0]), jnp.asarray(rates[1]))
    fields = np.asarray(jax.jit(lambda u: evolve(u, equation, grid, schedule(times, 2e-3)))(jnp.asarray(start)))
    series = ImageSeries(_noisy(fields[1:, ::finer], 0.02, seed), times[1:])
    return Task(series, CahnHilliard("periodic"), None, rates)


def _volume(seed: int) -> Task:
    """Return a ball that shrinks in a volume of 20^3."""
    pixels, finer = 20, 2
    place = (np.arange(pixels * finer) / finer - pixels / 2 + 0.25) ** 2
    distance = np.sqrt(place[:, None, None] + place[None, :, None] + place[None, None, :])
    shape = 1 + 0.1 * np.random.default_rng(seed).standard_normal()
    start = 0.5 * (1 - np.tanh((distance - 7.0 * shape) / 2.5))
    rates, times = (5.0, 5.0 * 2 / 6.25), np.linspace(0, 1, 6)
    fields = integrate(start, *rates, 0.0, 1 / finer, times)[:, ::finer, ::finer, ::finer]
    return Task(ImageSeries(_noisy(fields, 0.05, seed), times), AllenCahn("periodic"), None, rates)


def _segmentation(seed: int) -> Task:
    task = _task(seed, 0.05)
    return replace(task, rates=None, series=replace(task.series, frames=(task.series.frames > 0.5).astype(float)))


def _two_frames(seed: int) -> Task:
    task = _task(seed, 0.01)
    series = replace(task.series, frames=task.series.frames[:2], times=task.series.times[:2])
    return replace(task, series=series, rates=None)


def _texture(seed: int) -> Task:
    """Return a pattern that only drifts, as a sample does in its holder."""
    frames = np.stack([np.roll(_scene(seed)[0], number, axis=1) for number in range(_FRAMES)])
    return replace(
        _task(seed, 0.01), series=ImageSeries(_noisy(frames, 0.01, seed), np.linspace(0, 1, _FRAMES)), rates=None
    )


def _flat(seed: int) -> Task:
    place = np.abs(np.arange(_PIXELS) - 15.5) - 8
    frames = np.broadcast_to(0.5 * (1 - np.tanh(place / 3.0)), (_FRAMES, _PIXELS, _PIXELS))
    return replace(
        _task(seed, 0.01), series=ImageSeries(_noisy(frames, 0.01, seed), np.linspace(0, 1, _FRAMES)), rates=None
    )

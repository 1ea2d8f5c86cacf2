"""Screening by CHGNet: single points and relaxations, beside the published code, ASE, MACE and the device."""

import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import jax

from benchmarks.record import UnavailableError
from benchmarks.screening.accuracy import measure_accuracy
from benchmarks.screening.agreement import agreement, relaxation_agreement
from benchmarks.screening.apart import Peers, left_out, measure_peers
from benchmarks.screening.devices import measure_devices
from benchmarks.screening.floor import measure_floor
from benchmarks.screening.ours import Relaxed, measure_relaxations, measure_single_points, relaxation_figures
from benchmarks.screening.ratios import ratios, relaxation_times
from benchmarks.screening.tasks import counts
from benchmarks.timing import timed
from physics.mlip.chgnet_potential import ChgnetPotential, load_chgnet
from physics.mlip.weights import MissingWeightsError

Found = TypeVar("Found")


def measure(smoke: bool) -> dict[str, Any]:
    """Return all figures; what a missing peer leaves out is not among them."""
    peers = _told("peers", measure_peers, smoke)  # first: once JAX holds the GPU's memory there is none for them
    potential, device = _potential(), jax.devices()[0]
    amount = counts(smoke, device.platform != "cpu")
    figures, answers = _told("single points", measure_single_points, potential, amount)
    relaxed = _told("relaxations", measure_relaxations, potential, amount)
    for name, of_set in relaxed.items():
        figures |= relaxation_figures(name, of_set)
    figures |= beside(figures, relaxed["perovskites"], peers, device.platform)
    figures |= agreement(answers, peers.answers)
    figures |= relaxation_agreement(relaxed["perovskites"].results, peers.relaxations)
    figures |= _told("floor", left_out, lambda: measure_floor(potential, amount), {})
    figures |= _told("devices", measure_devices, potential, amount, figures)
    figures |= _told("accuracy", measure_accuracy, smoke)
    figures |= {"device": f"{len(jax.devices())} x {device.device_kind}"} if device.platform != "cpu" else {}
    return {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in figures.items()}


def beside(figures: Mapping[str, Any], relaxed: Relaxed, peers: Peers, platform: str) -> dict[str, Any]:
    """Return the peers' figures and the ratios, if they ran on the same kind of device."""
    if (peers.figures.get("peer_device") == "cpu") is not (platform == "cpu"):
        print("the peers did not run on this device: torch or JAX lacks its GPU support", file=sys.stderr)
        return {}
    theirs = peers.figures | relaxation_times(relaxed, peers.relaxations)
    return theirs | ratios({**figures, **theirs})


def _potential() -> ChgnetPotential:
    try:
        return load_chgnet()
    except MissingWeightsError as missing:
        raise UnavailableError(str(missing)) from missing


def _told(name: str, part: Callable[..., Found], *arguments: Any) -> Found:
    """Tell how long a part took."""
    seconds, found = timed(lambda: part(*arguments))
    print(f"{name}: {seconds:.0f} s", file=sys.stderr)
    return found

"""The peers in a process of their own: torch and JAX each take most of a GPU's memory and keep it."""

import multiprocessing
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from typing import Any

from benchmarks.record import UnavailableError
from benchmarks.screening.peers import (
    PeerRelaxation,
    ase_relaxations,
    chgnet_answers,
    chgnet_batches,
    chgnet_one_by_one,
    torch_device,
)
from benchmarks.screening.peers_mace import mace_batched, torch_sim_batched
from benchmarks.screening.tasks import counts
from physics.mlip.potential import Prediction


@dataclass(frozen=True)
class Peers:
    """What the peers took and answered.

    Attributes:
        figures: their times, without those of missing peers.
        answers: CHGNet's to the first structures of each set.
        relaxations: ASE's of the first perovskites.
    """

    figures: dict[str, Any] = field(default_factory=dict)
    answers: Mapping[str, list[Prediction]] = field(default_factory=dict)
    relaxations: list[PeerRelaxation] = field(default_factory=list)


def measure_peers(smoke: bool) -> Peers:
    """Return what the peers took, as far as they are installed."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(_quietly, smoke).result()


def left_out(part: Callable[[], Any], otherwise: Any) -> Any:
    """Return what a part measures; where its peer is missing or fails, say so and return the other value."""
    try:
        return part()
    except UnavailableError as missing:
        print(missing, file=sys.stderr)
    except Exception as error:  # foreign code fails in ways of its own, and must not take the other figures with it
        print(f"a peer failed with {type(error).__name__}: {error}", file=sys.stderr)
    return otherwise


def _quietly(smoke: bool) -> Peers:
    """Run in the new process; what CHGNet prints is no figure."""
    with redirect_stdout(sys.stderr):
        return _measure(smoke)


def _measure(smoke: bool) -> Peers:
    device = left_out(torch_device, None)
    if device is None:
        return Peers()
    import torch

    amount = counts(smoke, device == "cuda")
    figures = {"peer_device": device, "peer_threads": torch.get_num_threads()}
    for part in (chgnet_one_by_one, chgnet_batches, mace_batched, torch_sim_batched):
        figures |= left_out(lambda part=part: part(amount), {})
    answers = left_out(lambda: chgnet_answers(amount), {})
    return Peers(figures, answers, left_out(lambda: ase_relaxations(amount), []))

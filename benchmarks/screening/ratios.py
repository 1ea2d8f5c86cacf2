"""Ours beside the peers: how many times faster."""

from collections.abc import Mapping
from typing import Any

from benchmarks.screening.ours import Relaxed
from benchmarks.screening.peers import PeerRelaxation
from physics.mlip.potential import Relaxation

# Ratio: their time over ours, both from ASE's structures to answers unless the name says device.
RATIOS = {
    "ratio_chgnet_batch": ("chgnet_batch_ms_per_single_point", "ms_per_single_point"),
    "ratio_chgnet_batch_mixture": ("chgnet_batch_ms_per_single_point_mixture", "ms_per_single_point_mixture"),
    "ratio_chgnet_batch_device": ("chgnet_batch_ms_per_single_point_device", "ms_per_single_point_device"),
    "ratio_ase_single_point": ("ase_ms_per_single_point", "ms_per_single_point"),
    "ratio_mace": ("mace_ms_per_single_point", "ms_per_single_point"),
    "ratio_torch_sim_mace": ("torch_sim_mace_ms_per_single_point", "ms_per_single_point"),
    "ratio_ase_relax": ("ase_relax_s", "relax_s"),
    "ratio_ase_relax_step": ("ase_relax_ms_per_step", "ms_per_structure_step"),
}


def ratios(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ratios of what was measured."""
    return {
        name: figures[theirs] / figures[ours]
        for name, (theirs, ours) in RATIOS.items()
        if theirs in figures and ours in figures
    }


def relaxation_times(ours: Relaxed, theirs: list[PeerRelaxation]) -> dict[str, Any]:
    """Return the seconds of a relaxation of the whole set, ours and ASE's.

    ASE relaxes a few only, and some take ten times as many steps as others. So its time is scaled to the set by the
    steps that the same few take in ours: the ratio estimator of sampling theory.
    """
    pairs = [(mine, other) for mine, other in zip(ours.results, theirs, strict=False) if isinstance(mine, Relaxation)]
    figures: dict[str, Any] = {"relax_s": ours.seconds_each}
    if not pairs:
        return figures
    seconds = sum(other.seconds for _, other in pairs)
    return figures | {
        "ase_relax_s": seconds / sum(mine.steps for mine, _ in pairs) * ours.mean_steps,
        "ase_relax_ms_per_step": 1e3 * seconds / sum(other.steps for _, other in pairs),
        "ase_relaxed": len(pairs),
    }

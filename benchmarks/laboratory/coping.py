"""What coping with a laboratory's failures is worth: regret with each mechanism over regret without any, paired."""

from typing import Any

from benchmarks.decisions.curves import ratio_interval
from benchmarks.laboratory.campaigns import FULL, NONE, Coping, mean_regrets
from benchmarks.laboratory.worlds import MODES, grid_world, measured_world

# Of either kind of world; campaigns of one seed are paired.
SEEDS, SMOKE_SEEDS = 16, 1
SINGLE = {
    "standards": Coping(standards=True, doubt=False, attempts=False),
    "doubt": Coping(standards=False, doubt=True, attempts=False),
    "attempts": Coping(standards=False, doubt=False, attempts=True),
}
SMOKE_MODES = ("none", "batch")


def measure_coping(smoke: bool) -> dict[str, Any]:
    """Return for every mode the ratio of regrets with its 95 % bootstrap interval, for all mechanisms and for each."""
    seeds = SMOKE_SEEDS if smoke else SEEDS
    worlds = [world(seed) for world in (measured_world, grid_world) for seed in range(seeds)]
    figures: dict[str, Any] = {"coping_campaigns": len(worlds)}
    for mode in SMOKE_MODES if smoke else ("none", *MODES, "all"):
        without = mean_regrets(worlds, mode, NONE)
        figures[f"regret_{mode}"] = round(float(without.mean()), 3)
        figures |= ratio_interval(mean_regrets(worlds, mode, FULL), without).figures(f"regret_ratio_{mode}")
        for name, coping in SINGLE.items():
            ratio = ratio_interval(mean_regrets(worlds, mode, coping), without)
            figures |= ratio.figures(f"regret_ratio_{mode}_{name}")
    return figures

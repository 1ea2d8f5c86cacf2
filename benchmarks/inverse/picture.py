"""Error against time of every arm, drawn from the stored figures: ``python -m benchmarks.inverse.picture OUT.svg``."""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter

RESULTS = Path(__file__).parent.parent / "results"
# Our arms are one hue, peers another; the solver's single point is the end of a fit.
COLOURS = {"solver": "#0b6e75", "pinn": "#14407a", "deepxde": "#b4571a"}
NAMES = {"solver": "mfal: solver", "pinn": "mfal: network, polished (Burgers: not)", "deepxde": "DeepXDE"}


def draw(path: Path) -> None:
    """Write the picture."""
    here = json.loads((RESULTS / "inverse.json").read_text(encoding="utf-8"))
    lent = json.loads((RESULTS / "inverse_h100.json").read_text(encoding="utf-8"))
    figure, panels = plt.subplots(1, 5, figsize=(15, 3.4), sharey=True, layout="constrained")
    for panel, name, title in zip(panels, ("morphology", "separation"), ("Allen-Cahn", "Cahn-Hilliard"), strict=False):
        _panel(panel, f"{title}, one core", {arm: here[f"{name}_course_{arm}"] for arm in NAMES})
    _panel(panels[2], "20 grains, one core", {a: here[f"plate_course_{a}"] for a in ("solver", "deepxde")})
    burgers = {"pinn": here["burgers_course_1pct_ours"], "deepxde": here["burgers_course_1pct_deepxde"]}
    _panel(panels[3], "Burgers, one core", burgers)
    on_gpu = {"pinn": lent["morphology_course_pinn"], "deepxde": [lent["morphology_course_deepxde_120s"]]}
    _panel(panels[4], "Allen-Cahn, one H100", on_gpu)
    panels[0].set_ylabel("largest error of a rate; rms of ratios")
    handles = [Line2D([], [], color=COLOURS[arm], marker="o", label=name) for arm, name in NAMES.items()]
    figure.legend(handles=handles, ncols=4, frameon=False, loc="outside lower center")
    figure.savefig(path)


def _panel(panel: Any, title: str, courses: dict[str, list[list[list[float]]]]) -> None:
    """Draw courses, each rows of seconds and errors, a line a seed that ends in a point."""
    for arm, seeds in courses.items():
        for course in seeds:
            seconds, worst = [row[0] for row in course], [max(row[1:]) for row in course]
            panel.plot(seconds, worst, color=COLOURS[arm], linewidth=1.2, alpha=0.8)
            panel.plot(seconds[-1], worst[-1], "o", color=COLOURS[arm])
    panel.set(title=title, xscale="log", yscale="log", xlabel="seconds", xlim=(4, 1500))
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.grid(alpha=0.25)


if __name__ == "__main__":
    draw(Path(sys.argv[1]))

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
# Our arms are one hue, peers another; where an arm has a single point, that is the end of its fit.
COLOURS = {"solver": "#0b6e75", "field": "#4f9dd8", "pinn": "#14407a", "deepxde": "#b4571a", "plain": "#c99a3b"}
NAMES = {
    "solver": "mfal: solver",
    "field": "mfal: field",
    "pinn": "mfal: network, polished (Burgers: not)",
    "deepxde": "DeepXDE",
    "plain": "plain strong form",
}
PROBLEMS = {
    "morphology": "Allen-Cahn, 5 % noise",
    "separation": "Cahn-Hilliard, 2 %",
    "burgers": "Burgers, 1 %",
    "plate": "20 grains, 5 %",
}
MACHINES = {"inverse.json": "one core", "inverse_h100.json": "one H100"}


def draw(path: Path) -> None:
    """Write the picture: a row a machine, a column a problem."""
    figure, rows = plt.subplots(
        len(MACHINES), len(PROBLEMS), figsize=(14, 6.2), sharex=True, sharey=True, layout="constrained"
    )
    for panels, (file, machine) in zip(rows, MACHINES.items(), strict=True):
        figures = json.loads((RESULTS / file).read_text(encoding="utf-8"))
        for panel, (problem, title) in zip(panels, PROBLEMS.items(), strict=True):
            courses = {arm: figures.get(_name_of_course(problem, arm), []) for arm in NAMES}
            _panel(panel, f"{title}: {machine}", courses)
        panels[0].set_ylabel("largest error of a rate; rms of ratios")
    for panel in rows[-1]:
        panel.set_xlabel("seconds")
    handles = [Line2D([], [], color=COLOURS[arm], marker="o", label=name) for arm, name in NAMES.items()]
    figure.legend(handles=handles, ncols=len(handles), frameon=False, loc="outside lower center")
    figure.savefig(path)


def _name_of_course(problem: str, arm: str) -> str:
    if problem == "burgers":
        return f"burgers_course_1pct_{'ours' if arm == 'pinn' else arm}"
    return f"{problem}_course_{arm}"


def _panel(panel: Any, title: str, courses: dict[str, list[list[list[float]]]]) -> None:
    """Draw courses, each rows of seconds and errors, a line a seed that ends in a point."""
    for arm, seeds in courses.items():
        for course in seeds:
            seconds, worst = [row[0] for row in course], [max(row[1:]) for row in course]
            panel.plot(seconds, worst, color=COLOURS[arm], linewidth=1.2, alpha=0.8)
            panel.plot(seconds[-1], worst[-1], "o", color=COLOURS[arm])
    panel.set(title=title, xscale="log", yscale="log", xlim=(4, 1500))
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.grid(alpha=0.25)


if __name__ == "__main__":
    draw(Path(sys.argv[1]))

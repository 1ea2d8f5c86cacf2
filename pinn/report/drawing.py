"""Colours and style of all plots of this package, and how they become inline SVG."""

import io
from collections.abc import Callable
from typing import Any

from pinn.errors import MissingPackageError

INK, OURS, WARN, SOFT = "#22303c", "#0b6e75", "#c4661f", "#d9dee3"
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "mfal",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
}


def draw(paint: Callable) -> str:
    """Return what `paint` makes of pyplot as SVG; the same picture is the same text."""
    try:
        import matplotlib
    except ImportError as error:
        raise MissingPackageError("pictures", "report") from error
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    with plt.rc_context(_STYLE):
        figure = paint(plt)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
        plt.close(figure)
    text = buffer.getvalue()
    return text[text.index("<svg") :]

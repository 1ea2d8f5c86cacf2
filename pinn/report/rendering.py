"""Templates of this folder to self-contained pages: they open offline, and every text is escaped."""

from importlib.resources import files
from pathlib import Path
from typing import Any

from pinn.errors import MissingPackageError


def write_rendered(template: str, content: dict[str, Any], plots: dict[str, str], path: Path) -> Path:
    """Write a page to `path` and return it.

    Args:
        template: name of a file of this folder.
        content: what the template asks for; text is escaped.
        plots: SVG of our own, in which matplotlib has escaped the labels.
        path: of the page.

    Raises:
        MissingPackageError: jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, FunctionLoader, StrictUndefined
        from markupsafe import Markup
    except ImportError as error:
        raise MissingPackageError("pages", "report") from error
    loader = FunctionLoader(_text)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    trusted = {"style": Markup(_text("house.css"))} | {name: Markup(svg) for name, svg in plots.items()}
    path.write_text(environment.get_template(template).render(**content, **trusted), encoding="utf-8")
    return path


def _text(name: str) -> str:
    return files("pinn.report").joinpath(name).read_text(encoding="utf-8")

"""``mfal check``: whether compositions meet a campaign's constraints or are neutral, and whether crystals can be."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mfal.campaign.constraints import ConstraintsSection


def add_to(commands: argparse._SubParsersAction) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "check", help="say whether compositions and structures are admitted, and why not",
        description="Check formulas, files with one a line, structures, or a campaign's candidates; status 1 if any is "
        "refused.",
    )  # fmt: skip
    parser.add_argument("what", nargs="*", metavar="FORMULA_OR_FILE", help="such as BaTiO3, formulas.txt, or NaCl.cif")
    own = "campaign file whose [constraints] apply; alone, its own candidates are checked"
    parser.add_argument("--campaign", type=Path, metavar="FILE", help=own)
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> int:
    """Print a line a formula; return 1 where one is refused.

    Without a campaign file a formula has to be neutral with common oxidation states; ``charge = "alloy"`` in a
    campaign's ``[constraints]`` exempts alloys.
    """
    if not options.what and options.campaign is None:
        print("mfal: check what? name formulas, files, or --campaign FILE", file=sys.stderr)
        return 1
    found = _of_campaign(options.campaign) if not options.what else _of_formulas(options.what, options.campaign)
    for formula, reason in found.items():
        print(f"{formula}  {'refused: ' + reason if reason else 'admitted'}")
    return int(any(found.values()))


def _of_campaign(file: Path) -> dict[str, str]:
    from mfal.campaign.config import load
    from mfal.campaign.plugins import named_pool, refused

    config = load(file)
    pool = named_pool(config)
    out = refused(config, pool)
    return {name: out.get(name, "") for name in pool.ids}


def _of_formulas(what: list[str], file: Path | None) -> dict[str, str]:
    from mfal.campaign.config import load
    from mfal.campaign.constraints import ConstraintsSection
    from mfal.campaign.feasibility import answers
    from mfal.constraints.crystal_file import is_structure

    section = load(file).constraints if file else ConstraintsSection(charge="balanced")
    crystals = [text for text in what if is_structure(Path(text))]
    formulas = [formula for text in what if text not in crystals for formula in _formulas(text)]
    found = answers(section, formulas) if formulas else {}
    return found | {text: _of_crystal(Path(text), section if file else ConstraintsSection()) for text in crystals}


def _of_crystal(path: Path, section: "ConstraintsSection") -> str:
    """Return why a structure cannot be, or its composition is refused."""
    from mfal.campaign.constraints import StructureSection
    from mfal.campaign.door import limits_of
    from mfal.campaign.feasibility import answers
    from mfal.constraints.crystal_file import file_crystal, file_verdict
    from mfal.errors import ConstraintError

    try:
        formula = file_crystal(path).formula
        verdict = file_verdict(path, limits_of(section.structure or StructureSection()))
    except ConstraintError as error:
        return str(error)
    composition = answers(section, [formula])[formula] if section.declared else ""
    return "; ".join([*([] if verdict.admits else verdict.reasons), *([composition] if composition else [])])


def _formulas(text: str) -> list[str]:
    path = Path(text)
    if not path.is_file():
        return [text]
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]

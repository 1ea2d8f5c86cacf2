"""``mfal init``: write a commented campaign file."""

import argparse
from importlib.resources import files
from pathlib import Path


def add_to(commands: argparse._SubParsersAction) -> None:
    """Register the command."""
    parser = commands.add_parser("init", help="write a commented campaign file")
    parser.add_argument("file", type=Path, nargs="?", default=Path("campaign.toml"))
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> int:
    """Write the file unless it exists."""
    from mfal.errors import CampaignFileError

    if options.file.exists():
        raise CampaignFileError(f"{options.file} exists and is left as it is; name another file: mfal init NEW.toml")
    template = files("mfal.cli").joinpath("campaign.toml").read_text(encoding="utf-8")
    options.file.write_text(template, encoding="utf-8")
    print(f"wrote {options.file}; read its comments, then: mfal run {options.file}")
    return 0

"""``mfal review``: what waits for a person, and the person's signature."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mfal.laboratory.review import Triage


def add_to(commands: argparse._SubParsersAction) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "review", help="list what waits for a person, or sign a decision",
        description="Without a decision: what waits, the least certain first, and what was decided automatically. A "
        "rejected result counts as a failure. Novelty is signed here and nowhere else.",
    )  # fmt: skip
    parser.add_argument("directory", type=Path, help="of the campaign")
    parser.add_argument("decision", nargs="?", choices=["accept", "reject"])
    parser.add_argument("item", nargs="?", metavar="ID")
    parser.add_argument("--by", metavar="NAME", help="who decides")
    parser.add_argument("--note", metavar="WHY", help="the reason")
    parser.add_argument("--novel", choices=["yes", "no"], help="whether the result is new to science, with --by only")
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> int:
    """List or sign."""
    from mfal.errors import ReviewError
    from mfal.laboratory.sign import Decision, review, sign

    if options.decision is None:
        if options.by or options.note or options.novel:
            raise ReviewError("--by, --note and --novel belong to a decision: mfal review DIR accept|reject ID ...")
        _list(review(options.directory))
        return 0
    if not options.item or not options.by or not options.note:
        raise ReviewError(f"mfal review {options.directory} {options.decision} needs ID, --by NAME and --note WHY")
    novel = None if options.novel is None else options.novel == "yes"
    decision = Decision(options.item, options.decision == "accept", options.by, options.note, novel)
    signed = sign(options.directory, decision)
    print(f"{signed.item} {options.decision}ed by {signed.by} at {signed.time}, event {signed.event_hash[:16]}; "
          f"the campaign learns from it with: mfal ask {options.directory}")  # fmt: skip
    return 0


def _list(found: "Triage") -> None:
    for item in found.waiting:
        print(f"{item.id}  {item.kind}, {item.uncertainty_bits:.2f} bits: {item.reason}")
    automatic = [one for one in found.results if one.decided == "automatically"]
    signed = [one for one in found.results if one.decided not in ("automatically", "waiting")]
    for one in signed:
        novelty = {None: "not signed", True: "yes", False: "no"}[one.scientific_novelty]
        print(f"{one.id}  {one.reason}, signed by {one.decided}; workflow success {one.workflow_success}, "
              f"scientific novelty {novelty}")  # fmt: skip
    for one in automatic:
        print(f"{one.id}  decided automatically, {one.reason}; workflow success {one.workflow_success}")
    print(f"{len(found.waiting)} wait for a person, {len(signed)} signed, {len(automatic)} decided automatically")

"""The entry points of `mfal export`: a format each, of a campaign's finished calculations."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mfal.exporting import Entry, ExportError, ExportReport, ExportRequest, need_suffix
from mfal.oracle import need_package
from physics.documents.calculation import Calculation, Link, Missing, calculations, recorded_structure
from physics.queue.client import Bridge, QueueError
from physics.queue.result_cache import NAME_DIGITS
from physics.queue.settings import settings_from

if TYPE_CHECKING:
    from physics.documents.ase_database import Row

ARCHIVE_SECONDS = 3600.0  # of 100 000 batches and more
Links = dict[str, list[Link]]
MissingList = list[tuple[str, str]]


def emmet(request: ExportRequest, target: Path) -> ExportReport:
    """Write an emmet-core document a calculation: a JSON list, or with ``.jsonl`` a line each."""
    need_suffix(request, (".json", ".jsonl"))
    _need("ase", "emmet")
    from physics.documents.emmet_document import document

    missing: MissingList = []
    opening, between, closing = ("", "\n", "\n") if request.output.suffix == ".jsonl" else ("[\n", ",\n", "\n]\n")
    count = 0
    with target.open("w", encoding="utf-8") as stream:
        stream.write(opening)
        for calculation, links in _found(request, missing):
            stream.write((between if count else "") + document(calculation, links).model_dump_json())
            count += 1
        stream.write(closing if count or request.output.suffix == ".json" else "")
    return ExportReport(count, "documents", _without_calculation(request), tuple(missing))


def optimade(request: ExportRequest, target: Path) -> ExportReport:
    """Write the structures of the calculations as an OPTIMADE response."""
    need_suffix(request, (".json",))
    _need("ase", "optimade")
    from importlib.metadata import version

    from physics.documents.optimade_structure import resource, response

    missing: MissingList = []
    pairs = [(one, links, one.atoms()) for one, links in _found(request, missing)]
    resources = [resource(one, atoms, links) for one, links, atoms in pairs if atoms is not None]
    held = {link.event_hash for _, links, atoms in pairs if atoms is not None for link in _of_candidate(links)}
    target.write_text(response(resources, request.campaign, version("mfal")), encoding="utf-8")
    left_out = sum(entry.event_hash not in held for entry in request.entries)
    return ExportReport(len(resources), "structures", left_out, tuple(missing))


def ase(request: ExportRequest, target: Path) -> ExportReport:
    """Write an ASE database."""
    need_suffix(request, (".db",))
    _need("ase")
    from physics.documents.ase_database import DatabaseError, write

    missing: MissingList = []
    held: set[str] = set()
    rows = _rows(request, missing, held)
    try:
        count = write(target, rows, request.campaign, request.head_hash, request.property_name, request.unit)
    except DatabaseError as error:
        raise ExportError(f"{request.output} cannot be written ({error}); make room, or name another place") from error
    left_out = sum(entry.event_hash not in held for entry in request.entries)
    return ExportReport(count, "rows", left_out, tuple(missing))


def aiida(request: ExportRequest, target: Path) -> ExportReport:
    """Write what AiiDA knows of the batches that have ended, with inputs and outputs, as an archive of AiiDA."""
    need_suffix(request, (".aiida",))
    need_package("aiida", "queue")
    root = request.directory.resolve() / "aiida"
    archived = _archived(request, root, target)
    nodes = [(entry.observation.candidate, entry.observation.details.get("node")) for entry in request.entries]
    reason = "is of no batch that has ended here: export the campaign that computed it, or wait for its end"
    elsewhere = [(name, node) for name, node in nodes if node is not None and node not in archived]
    missing = tuple((f"of {name}", f"node {node} {reason}") for name, node in elsewhere)
    return ExportReport(len(archived), "batches", sum(node is None for _, node in nodes), missing, str(root))


def _archived(request: ExportRequest, root: Path, target: Path) -> set[str]:
    """Let a process that may import AiiDA write the archive; return the nodes in it."""
    _require_profile(request, root)
    bridge = Bridge(root, settings_from(request.queue), ARCHIVE_SECONDS)
    try:
        archived = set(bridge.ask("archive", file=str(target.resolve())))
    except QueueError as error:
        raise ExportError(f"{request.output} cannot be written ({error}); type mfal queue doctor") from error
    finally:
        bridge.close()
    if not archived:
        raise ExportError(f"{root}: no batch has ended yet; export once one has")
    return archived


def _require_profile(request: ExportRequest, root: Path) -> None:
    if request.queue.get("engine") != "aiida":
        remedy = "set [dft.queue] engine = 'aiida' in the next one, or export this one --to emmet, optimade or ase"
        raise ExportError(f"this campaign's DFT jobs do not go through AiiDA; {remedy}")
    if not (root / ".aiida" / "config.json").exists():
        remedy = "export the one that computed its jobs, or wait for a job"
        raise ExportError(f"{root} has no profile of AiiDA: this campaign has computed nothing by itself; {remedy}")


def _need(*packages: str) -> None:
    for package in packages:
        need_package(package, "documents")


def _found(request: ExportRequest, missing: MissingList) -> Iterator[tuple[Calculation, list[Link]]]:
    """Read each calculation once, with the observations that it has served; note what cannot be had."""
    links = _links(request)
    for one in calculations(request.cache, list(links)):
        if isinstance(one, Missing):
            missing.append((one.name, one.reason))
        else:
            yield one, links[one.key[:NAME_DIGITS]]


def _rows(request: ExportRequest, missing: MissingList, held: set[str]) -> "Iterator[Row]":
    """Make the rows of calculations, then those of observations whose details alone have a structure."""
    from physics.documents.ase_database import observation_row, reference_row

    entries = {entry.event_hash: entry for entry in request.entries}
    for calculation, links in _found(request, missing):
        atoms = calculation.atoms()
        if atoms is None:
            continue
        for link in _of_candidate(links):
            held.add(link.event_hash)
            yield observation_row(link, entries[link.event_hash].calculations, atoms.copy(), calculation)
        if not _of_candidate(links):
            yield reference_row(calculation, atoms, links)
    for entry in request.entries:
        atoms = None if entry.event_hash in held else recorded_structure(entry.observation.details.get("structure"))
        if atoms is not None:
            held.add(entry.event_hash)
            yield observation_row(_link(request, entry, "candidate"), entry.calculations, atoms, None)


def _of_candidate(links: list[Link]) -> list[Link]:
    return [link for link in links if link.role == "candidate"]


def _without_calculation(request: ExportRequest) -> int:
    return sum(not entry.calculations for entry in request.entries)


def _links(request: ExportRequest) -> Links:
    """Return the observations that each calculation has served, by its name, in the order of first mention."""
    links: Links = {}
    for entry in request.entries:
        for place, name in enumerate(entry.calculations):
            links.setdefault(name, []).append(_link(request, entry, "reference" if place else "candidate"))
    return links


def _link(request: ExportRequest, entry: Entry, role: str) -> Link:
    found = entry.observation
    return Link(
        campaign=request.campaign,
        event_hash=entry.event_hash,
        sequence=entry.sequence,
        candidate=found.candidate,
        fidelity=found.fidelity,
        role=role,
        value=found.value,
        unit=request.unit,
        price_eur=found.price_eur,
        failure=found.failure,
    )

"""The oracle whose answers people bring: entry point ``mfal.oracles: laboratory``.

Gateways to instruments plug in here without any change to mfal. A gateway is a client of `mfal serve` that speaks
SiLA 2 or OPC UA on its other side: for every query of ``GET /batch`` it starts the instrument's run (a SiLA 2
observable command; a call of an OPC UA method node), keeps the query's id with the run (the SiLA 2 command execution
UUID; the ``JobOrderID`` of an OPC UA ISA-95 job order), and posts the run's result under that id to ``POST /results``.
Posting a result twice changes nothing, so a gateway that was restarted may simply post again. Where no network is
wanted, it writes the same documents as files and calls ``mfal ask`` and ``mfal tell``. mfal contains no such gateway.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import final

from mfal.laboratory.options import laboratory_options
from mfal.laboratory.told import LABORATORY, Revision, Told, read_told
from mfal.oracle import JobId, Observation, OracleContext, Query


def laboratory(context: OracleContext) -> "Laboratory":
    """Answer with what `mfal tell` has recorded; a query waits until somebody has.

    Options: ``recipe`` (template of the text in the batch), ``steps`` (whose success is reported), ``lowest`` and
    ``highest`` (possible values).

    Raises:
        CampaignFileError: an option is unknown or has a wrong value.
    """
    laboratory_options(context.fidelity)
    return Laboratory(context.directory)


@final
class Laboratory:
    """Hands over what has been told; everything it knows lies in the laboratory's ledger."""

    def __init__(self, directory: Path):
        """Answer for the campaign in `directory`."""
        self._directory = directory
        self._open: dict[str, Query] = {}
        self._stamp: tuple[int, int] | None = None
        self._told = Told({}, (), frozenset())

    def submit(self, queries: Sequence[Query]) -> Sequence[JobId]:
        """Note what is asked; the batch reads it off the campaign's ledger."""
        self._open |= {query.key: query for query in queries}
        return [query.key for query in queries]

    def collect(self) -> Sequence[Observation]:
        """Return the results of open queries, each as it was told last."""
        told = self._read()
        ready = [query for key, query in self._open.items() if key in told.revisions]
        for query in ready:
            del self._open[query.key]
        return [_observation(q.candidate, q.fidelity, q.price_eur, told.revisions[q.key][-1]) for q in ready]

    def running(self) -> Sequence[str]:
        """Say what waits for the laboratory."""
        return [f"{query.candidate} waits for the laboratory" for query in self._open.values()]

    def close(self) -> None:
        """Nothing to release."""

    def awaits(self, queries: Sequence[Query]) -> bool:
        """Say whether none of the queries has been told."""
        return not any(query.key in self._read().revisions for query in queries)

    def corrections(self, recorded: Sequence[Observation]) -> Sequence[Observation]:
        """Return what was told, or signed, after the results that are recorded."""
        told = self._read()
        pairs = [(one, told.newest(one.key)) for one in recorded]
        return [
            _observation(one.candidate, one.fidelity, one.details["price_asked_eur"], newest)
            for one, newest in pairs if newest is not None and newest.number > one.details["revision"]
        ]  # fmt: skip

    def _read(self) -> Told:
        """Read the laboratory's ledger again if it has changed."""
        file = self._directory / LABORATORY
        if file.exists():
            status = file.stat()
            stamp = (status.st_size, status.st_mtime_ns)
            if stamp != self._stamp:
                self._told, self._stamp = read_told(self._directory), stamp
        return self._told


def _observation(candidate: str, fidelity: str, price_asked_eur: float, revision: Revision) -> Observation:
    result = revision.result
    details = {
        "id": result.id, "measured_on": result.measured_on, "correction": result.correction,
        "steps": dict(result.steps), "extra": dict(result.extra), "revision": revision.number,
        "source": revision.source, "line": revision.line, "told": revision.told, "event_hash": revision.event_hash,
        "late_hours": revision.late_hours, "as_told": dict(revision.as_told),
        "workflow_success": workflow_success(revision), "price_asked_eur": price_asked_eur,
    }  # fmt: skip
    price_eur = price_asked_eur if result.price_eur is None else result.price_eur
    return Observation(candidate, fidelity, result.value, result.noise_sd, price_eur, result.failure, details)


def workflow_success(revision: Revision) -> bool:
    """Say whether there is a value and every step that was reported succeeded; it says nothing of novelty."""
    return revision.result.failure is None and all(revision.result.steps.values())

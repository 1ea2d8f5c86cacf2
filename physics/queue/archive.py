"""The provenance of a campaign's batches as one file of AiiDA. Runs only where the profile is loaded."""

from aiida.orm import QueryBuilder
from aiida.tools.archive import create_archive

from physics.queue.calculation import BatchCalculation


def archive(file: str) -> list[str]:
    """Write all batches that have ended, with inputs and outputs, and return their UUIDs; without any there is no file.

    AiiDA exports sealed nodes alone: those of a batch under way may still change.
    """
    ended = QueryBuilder().append(BatchCalculation, filters={"attributes.sealed": True}, project=["*"])
    nodes = ended.all(flat=True)
    if nodes:
        create_archive(nodes, filename=file, overwrite=True)
    return [node.uuid for node in nodes]

"""The process that talks to AiiDA for a campaign: ``python -m physics.queue.bridge`` with one JSON object a line.

The driver never imports AiiDA: a connection that went down with a killed broker is mended by starting this process
again, and AIIDA_PATH, which AiiDA reads when it is imported, is set for this process alone.

Requests have ``do`` and what the function of that name takes; answers have ``found`` or ``error``.
"""

import json
import logging
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aiida.engine import submit as submit_process
from aiida.engine.daemon.client import get_daemon_client
from aiida.orm import CalcJobNode, QueryBuilder, SinglefileData

from physics.queue.archive import archive
from physics.queue.daemon import stop, subscribers
from physics.queue.environment import last_lines
from physics.queue.examination import examine
from physics.queue.profile import code_for, open_profile, options
from physics.queue.repair import Mender, sockets
from physics.queue.settings import QueueSettings
from physics.queue.storage import DatabaseError, explained

LOG_CHARACTERS = 600
# A bridge that is killed while it hands over may leave a node without any state: nobody works on that one.
_UNDER_WAY = ("created", "running", "waiting")


def main(root: Path, settings: QueueSettings) -> int:
    """Answer requests until the driver closes the pipe."""
    logging.disable(logging.WARNING)
    try:
        open_profile(root, settings)
    except DatabaseError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return 1
    requests = {
        "start": Mender(root, settings).mend,
        "submit": lambda batches: submit(batches, root, settings),
        "states": states,
        "stop": lambda: stop(root),
        "status": lambda: status(root),
        "doctor": lambda: examine(root),
        "archive": archive,
    }
    print(json.dumps({"found": "ready"}), flush=True)
    connected = ""
    for line in sys.stdin:
        request = json.loads(line)
        if connected and sockets(root) != connected:
            return 1  # this process still talks to a broker that is gone; the driver starts another
        try:
            answer = {"found": requests[request.pop("do")](**request)}
        except TimeoutError:
            return 1  # the broker was killed, and where it listened is not forgotten yet
        except Exception as error:
            answer = {"error": explained(error, settings)}
        connected = connected or sockets(root)
        print(json.dumps(answer), flush=True)
    return 0


def status(root: Path) -> dict[str, Any]:
    """Return whether the daemon runs, its workers, and batches by state."""
    query = QueryBuilder().append(CalcJobNode, project=["attributes.process_state"])
    batches = Counter(str(state) for (state,) in query.iterall())
    return {"runs": get_daemon_client().is_daemon_running, "workers": subscribers(root), "batches": batches}


def submit(batches: Sequence[Mapping[str, Any]], root: Path, settings: QueueSettings) -> list[str]:
    """Hand batches to AiiDA and return their nodes; a label of a batch under way is that batch.

    The label is stored with the node in one transaction, so that a driver that dies between handing over and noting it
    finds the batch again.
    """
    return [_known(batch["label"]) or _submitted(batch, root, settings) for batch in batches]


def states(uuids: Sequence[str]) -> dict[str, str | None]:
    """Return why batches have ended: an empty text for success, None for those under way."""
    query = QueryBuilder().append(CalcJobNode, filters={"uuid": {"in": list(uuids)}}, project=["*"])
    return {node.uuid: _end(node) for (node,) in query.iterall()}


def _known(label: str) -> str | None:
    under_way = {"label": label, "attributes.process_state": {"in": list(_UNDER_WAY)}}
    found = QueryBuilder().append(CalcJobNode, filters=under_way, project=["uuid"]).first(flat=True)
    return None if found is None else str(found)


def _submitted(batch: Mapping[str, Any], root: Path, settings: QueueSettings) -> str:
    builder: Any = code_for(root, settings).get_builder()
    builder.batch = SinglefileData.from_string(json.dumps(batch["record"]), filename="jobs.json")
    builder.metadata.label = batch["label"]
    builder.metadata.options = options(settings)
    return str(submit_process(builder).uuid)


def _end(node: CalcJobNode) -> str | None:
    if not node.is_terminated:
        return None
    if node.is_finished_ok:
        return ""
    said = node.exception or node.exit_message or node.process_status or str(node.process_state)
    return f"{said.strip()}: {_log(node)}"[-LOG_CHARACTERS:]


def _log(node: CalcJobNode) -> str:
    try:
        retrieved: Any = node.outputs.retrieved
        log = retrieved.base.repository.get_object_content("log.txt")
    except Exception:  # nothing was retrieved
        return "no log"
    return last_lines(log)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), QueueSettings(**json.loads(sys.argv[2]))))

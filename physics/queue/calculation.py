"""What AiiDA knows of a batch of jobs: its inputs, how to start it, and its outputs. Imported by AiiDA's workers."""

import json
from typing import Any

from aiida.common.datastructures import CalcInfo, CodeInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJob, CalcJobProcessSpec, ExitCode
from aiida.orm import Dict, SinglefileData
from aiida.parsers.parser import Parser

BATCH, RESULTS = "batch.json", "results.json"


class BatchCalculation(CalcJob):
    """Jobs that one process computes, one after another; see `physics.queue.run_job`."""

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Declare inputs, outputs and exit codes."""
        super().define(spec)
        # A file, because a Dict keeps 14 digits of a number, and jobs are known by all of them.
        spec.input("batch", valid_type=SinglefileData, help="Jobs, and where their results are kept.")
        spec.output("results", valid_type=Dict, required=False, help="Results by key of the job.")
        settings: Any = spec.inputs["metadata"]
        settings["options"]["parser_name"].default = "mfal.batch"
        spec.exit_code(300, "ERROR_NO_RESULTS", message="the process died before it could hand in its results")
        spec.exit_code(310, "ERROR_UNANSWERED", message="some jobs have no result")

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the batch, with this node's identity, which every result then carries."""
        batch = json.loads(self.inputs["batch"].get_content()) | {"node": str(self.node.uuid), "results": RESULTS}
        with folder.open(BATCH, "w") as stream:
            json.dump(batch, stream)
        code = CodeInfo()
        code.code_uuid = self.inputs["code"].uuid
        code.cmdline_params = ["-m", "physics.queue.run_job", BATCH]
        code.stdout_name = "log.txt"
        code.join_files = True
        info = CalcInfo()
        info.codes_info = [code]
        info.retrieve_list = [RESULTS, "log.txt"]
        return info


class BatchParser(Parser):
    """Takes the results into the database, so that they are reachable from the inputs."""

    def parse(self, **_: Any) -> ExitCode | None:
        """Store what was computed."""
        codes: Any = self.exit_codes
        node: Any = self.node
        retrieved: Any = self.retrieved.base.repository
        if RESULTS not in retrieved.list_object_names():
            return codes.ERROR_NO_RESULTS
        results = json.loads(retrieved.get_object_content(RESULTS))
        self.out("results", Dict(results))
        asked = {json.dumps(job, sort_keys=True) for job in json.loads(node.inputs.batch.get_content())["jobs"]}
        return None if len(results) >= len(asked) else codes.ERROR_UNANSWERED

"""Formation energies as an oracle: queries become jobs of a queue, their answers become observations."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mfal.errors import OracleError
from mfal.oracle import JobId, Observation, Query
from physics.queue.client import QueueError
from physics.queue.job import JobQueue
from physics.queue.result_cache import NAME_DIGITS
from physics.thermodynamics.formation_energy import FormationPlan, formation_energy

SECONDS_PER_HOUR = 3600.0
Describer = Callable[[Sequence[Mapping[str, Any]]], dict[str, Any]]
Planner = Callable[[Query], FormationPlan]


class RefusedQueryError(Exception):
    """A query that cannot be answered, as is known before anything is spent on it."""


@dataclass
class FormationOracle:
    """Turns total energies of a compound and its elements, each a job of a queue, into formation energies.

    Attributes:
        queue: computes the jobs.
        plan: the jobs of a query, the compound first.
        describe: details of an observation from the jobs' answers.
        together: one process answers all that is submitted at once, because it computes whole pools together.
        rate_eur_per_core_hour: what computing costs; None where the price of a query is what is paid.
    """

    queue: JobQueue
    plan: Planner
    describe: Describer
    together: bool
    rate_eur_per_core_hour: float | None = None
    _open: dict[str, tuple[Query, FormationPlan, tuple[str, ...]]] = field(default_factory=dict)
    _refused: list[Observation] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)

    def submit(self, queries: Sequence[Query]) -> Sequence[JobId]:
        """Queue the calculations of the queries that are new to this oracle and return at once.

        Raises:
            OracleError: a query lacks the geometry that it needs.
        """
        plans = {}
        for query in (query for query in queries if query.key not in self._seen):
            try:
                plans[query.key] = plan = self.plan(query)
            except RefusedQueryError as refusal:
                self._refused.append(Observation(query.candidate, query.fidelity, None, None, 0.0, str(refusal)))
                continue
            self._open[query.key] = (query, plan, tuple(job.key for job in plan.jobs))
        self._seen |= {query.key for query in queries}
        jobs = {job.key: job for plan in reversed(plans.values()) for job in plan.jobs}  # the first query pays
        jobs = {job.key: jobs[job.key] for plan in plans.values() for job in (*plan.elements, plan.compound)}
        self.queue.submit(list(jobs.values()), together=max(1, len(jobs)) if self.together else 1)
        return [query.key for query in queries]

    def collect(self) -> Sequence[Observation]:
        """Return observations of the queries whose calculations have all ended since the last call."""
        try:
            answers = self.queue.poll()
        except QueueError as error:
            raise OracleError(f"the job queue has stopped, nothing is lost: {error}; mend it and resume") from error
        ready = [key for key, (_, _, keys) in self._open.items() if all(job in answers for job in keys)]
        found, self._refused = self._refused, []
        for key in ready:
            query, plan, keys = self._open.pop(key)
            found.append(self._observe(query, plan, keys, [answers[job] for job in keys]))
        return found

    def running(self) -> Sequence[str]:
        """Describe the processes at work."""
        return self.queue.running()

    def close(self) -> None:
        """Forget the processes; they finish what they do and leave it in the cache."""
        self.queue.close()

    def _observe(
        self, query: Query, plan: FormationPlan, keys: Sequence[str], answers: Sequence[Mapping[str, Any]]
    ) -> Observation:
        hashes, price = {"calculations": [key[:NAME_DIGITS] for key in keys]}, self._price(query, plan, answers)
        failures = [answer["failure"] for answer in answers if "failure" in answer]
        if failures:
            return Observation(query.candidate, query.fidelity, None, None, price, "; ".join(failures), hashes)
        value = formation_energy(plan, answers)
        if not math.isfinite(value):
            text = f"the formation energy is {value}"
            return Observation(query.candidate, query.fidelity, None, None, price, text, hashes)
        elements = [float(answer["energy_ev_per_atom"]) for answer in answers[1:]]
        details = {**self.describe(answers), "reference_energies_ev_per_atom": elements, **hashes}
        return Observation(query.candidate, query.fidelity, value, None, price, None, details)

    def _price(self, query: Query, plan: FormationPlan, answers: Sequence[Mapping[str, Any]]) -> float:
        """Return what is paid: with a rate, the core-hours of the calculations that this query has caused.

        A result names the query that caused it, so that each is paid once, whoever was killed meanwhile; what had no
        result to say so is paid as declared.
        """
        if self.rate_eur_per_core_hour is None or any("seconds" not in answer for answer in answers):
            return query.price_eur
        caused = [one for job, one in zip(plan.jobs, answers, strict=True) if one.get("payer") == job.payer]
        core_seconds = sum(answer["seconds"] * answer.get("cores", 1) for answer in caused)
        return self.rate_eur_per_core_hour * core_seconds / SECONDS_PER_HOUR

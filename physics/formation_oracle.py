"""Formation energies as an oracle: queries become jobs of a queue, their answers become observations."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mfal.errors import OracleError
from mfal.oracle import JobId, Observation, Query
from physics.queue.client import QueueError
from physics.queue.job import Job, JobQueue
from physics.queue.result_cache import NAME_DIGITS
from physics.thermodynamics.formation_energy import FormationPlan, formation_energy

SECONDS_PER_HOUR = 3600.0
Describer = Callable[[Sequence[Mapping[str, Any]]], dict[str, Any]]
Planner = Callable[[Query], FormationPlan]
Known = Mapping[str, Mapping[str, Mapping[str, Any]]]


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
        core_seconds: expected of the compounds that these details are known of; asked where computing has a rate.
    """

    queue: JobQueue
    plan: Planner
    describe: Describer
    together: bool
    rate_eur_per_core_hour: float | None = None
    core_seconds: Callable[[Known], Mapping[str, float]] = lambda known: {}
    _open: dict[str, tuple[Query, FormationPlan, tuple[str, ...]]] = field(default_factory=dict)
    _refused: list[Observation] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)
    _payers: dict[str, str] = field(default_factory=dict)

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
        urgency = {query.key: query.urgency for query in queries}
        self._queue_up(
            [
                replace(job, urgency=urgency[key])
                for key, plan in plans.items()
                for job in (*plan.elements, plan.compound)
            ]
        )
        return [query.key for query in queries]

    def _queue_up(self, jobs: Sequence[Job]) -> None:
        once: dict[str, Job] = {}
        for job in jobs:  # the first query pays, the most urgent one says when
            first = once.setdefault(job.key, job)
            once[job.key] = replace(first, urgency=max(first.urgency, job.urgency))
        self._payers = {key: job.payer for key, job in once.items()} | self._payers
        self.queue.submit(list(once.values()), together=max(1, len(once)) if self.together else 1)

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

    def expected_prices_eur(self, known: Known) -> Mapping[str, float]:
        """Return what compounds will cost; elements, which are computed once, are not in it."""
        if self.rate_eur_per_core_hour is None:
            return {}
        eur_per_second = self.rate_eur_per_core_hour / SECONDS_PER_HOUR
        return {candidate: eur_per_second * seconds for candidate, seconds in self.core_seconds(known).items()}

    def withdraw(self, queries: Sequence[Query]) -> Sequence[str]:
        """Take back the queries that no calculation has been started for, and return their keys."""
        try:
            answers = self.queue.poll()
        except QueueError:
            return []
        return [query.key for query in queries if query.key in self._open and self._taken_back(query.key, answers)]

    def _taken_back(self, key: str, answers: Mapping[str, Mapping[str, Any]]) -> bool:
        _, plan, keys = self._open[key]
        others = {job.key: job for other, (_, wanted, _) in self._open.items() if other != key for job in wanted.jobs}
        spent = any(job.payer and answers.get(job.key, {}).get("payer") == job.payer for job in plan.jobs)
        own = {job for job in keys if job not in answers and (job not in others or self._pays(plan, job))}
        if spent or keys[0] in answers or not self.queue.withdraw(own):
            return False
        self._payers = {job: payer for job, payer in self._payers.items() if job not in own}
        del self._open[key]
        self._seen.discard(key)
        self._queue_up([others[job] for job in own if job in others])  # others need these, and pay for them now
        return True

    def _pays(self, plan: FormationPlan, job: str) -> bool:
        return bool(plan.compound.payer) and self._payers[job] == plan.compound.payer

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
        # Of the compound and its elements; other compounds can only raise it.
        details["energy_above_hull_ev_per_atom"] = max(value, 0.0)
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

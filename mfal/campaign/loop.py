"""The live campaign: the one stateful class. Everything it knows is in the ledger."""

import math
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

from mfal.campaign import history
from mfal.campaign.build import build_rules, recorded_rules
from mfal.campaign.config import CampaignConfig
from mfal.campaign.door import refused_queries
from mfal.campaign.history import Progress, Rules
from mfal.campaign.plugins import build_oracles, fingerprint
from mfal.campaign.policy import Outcome
from mfal.campaign.record import LEDGER, campaign_events, stuck_fidelities
from mfal.campaign.schedule import Flight, next_landing
from mfal.campaign.success import expected_prices_eur
from mfal.errors import LedgerError, OracleError
from mfal.ledger.event import EventKind
from mfal.ledger.replay import observation_payload
from mfal.ledger.store import Ledger, read_events
from mfal.oracle import Attended, Observation, Oracle, Priced, Query, Timed, Withdrawing

_POLL_SECONDS = 0.2
_RECORDED_PACKAGES = ("mfal", "jax", "jaxlib", "equinox", "gpjax", "numpy")
_REASONS = {
    Outcome.NOTHING_PAYS: "no query is expected to gain more than its price",
    Outcome.BUDGET_SPENT: "what is left of the budget pays for no query that is worth it",
    Outcome.NOTHING_LEFT: "every query that could be asked has been asked, or its fidelity keeps failing",
}
# Without gains in EUR nothing is weighed against its price.
_RANKED = "the acquisition {!r} ranks queries and knows no value of stopping, so it runs until the budget or a limit"
_RANKED_REASONS = {
    Outcome.NOTHING_PAYS: "no query is expected to tell anything more",
    Outcome.BUDGET_SPENT: "what is left of the budget pays for no query",
}


class Campaign:
    """Decides, submits, waits and learns until nothing pays.

    Every decision is on disk before its queries are submitted, and every answer before it is used; a campaign
    that was interrupted at any moment goes on from its ledger, and pays for no query twice.
    """

    def __init__(
        self, config: CampaignConfig, ledger: Ledger, rules: Rules, oracles: Mapping[str, Oracle], progress: Progress
    ):
        """Take over an opened ledger; use `start` or `resume`."""
        self.config, self.rules, self.oracles, self.progress = config, rules, oracles, progress
        self.last_decision: Mapping[str, Any] = {}
        self._ledger = ledger
        self._started = datetime.fromisoformat(ledger.events()[0].time)
        self._arrived: dict[str, Observation] = {}

    @classmethod
    def start(cls, config: CampaignConfig, directory: Path) -> Self:
        """Begin a campaign in a new or empty `directory`.

        Raises:
            LedgerError: the directory already holds a campaign.
        """
        if (directory / LEDGER).exists() and read_events(directory):
            raise LedgerError(f"{directory} already holds a campaign; continue it with: mfal resume {directory}")
        rules = build_rules(config)
        directory.mkdir(parents=True, exist_ok=True)
        # Before the ledger has its first event: a missing package must not leave a campaign behind.
        oracles = build_oracles(config, rules.pool, directory)
        ledger = (Ledger.open if (directory / LEDGER).exists() else Ledger.create)(directory / LEDGER)
        ledger.append(EventKind.CAMPAIGN, _first_payload(config, rules))
        return cls(config, ledger, rules, oracles, Progress(rules.first))

    @classmethod
    def resume(cls, directory: Path) -> Self:
        """Continue the campaign in `directory` from its ledger.

        Raises:
            LedgerError: there is none, or its pool is not the one it was started with.
        """
        campaign_events(directory)  # before the lock is taken
        ledger = Ledger.open(directory / LEDGER)
        events = ledger.events()
        config, rules = recorded_rules(events[0].payload)
        oracles = build_oracles(config, rules.pool, directory)
        campaign = cls(config, ledger, rules, oracles, history.fold(rules, events))
        if campaign.progress.stopped is None:
            ledger.append(EventKind.RESUME, {"hours": campaign.progress.hours})
        return campaign

    def run(self, watch: Callable[[Self], None]) -> Progress:
        """Run to the end; `watch` is called after every change and while waiting, also for people.

        Raises:
            OracleError: an oracle broke its contract; the campaign can be resumed.
        """
        self._submit()
        while self._advance(watch).stopped is None:
            watch(self)
            time.sleep(_POLL_SECONDS)
        return self.progress

    def advance(self, watch: Callable[[Self], None]) -> Progress:
        """Go on to the end, or until only people can bring what is in flight.

        Raises:
            OracleError: an oracle broke its contract; the campaign can be resumed.
        """
        self._submit()
        return self._advance(watch)

    def close(self) -> None:
        """Release oracles and ledger; queries in flight stay in flight."""
        for oracle in self.oracles.values():
            oracle.close()
        self._ledger.close()

    @property
    def committed_eur(self) -> float:
        """Price of the queries in flight."""
        return sum(flight.query.price_eur for flight in self.progress.flights)

    @property
    def spent_eur(self) -> float:
        """Money paid so far, without queries in flight."""
        return float(self.progress.state.spent_eur)

    @property
    def warnings(self) -> list[str]:
        """Which fidelities are no longer asked because they keep failing, and what to do about it."""
        limit = self.config.campaign.failure_limit
        stuck = stuck_fidelities(self.rules.ladder, self.progress.observations, limit)
        return [
            f"{name} failed {limit} times in a row and is not asked any more (last {last.key}: {last.failure}); "
            "mend it, or raise failure_limit, and start again: finished calculations are reused"
            for name, last in stuck.items()
        ]

    def _advance(self, watch: Callable[[Self], None]) -> Progress:
        self._correct()
        while self.progress.stopped is None:
            if self.progress.undecided:
                self._expect_prices()
                self._withdraw()
                self._decide()
                watch(self)
            if self.progress.flights:
                self._land(watch)
                if not self.progress.undecided:
                    break
            watch(self)
        return self.progress

    def _decide(self) -> None:
        # What is read back is what counts: the fold must see the same bytes now and after a crash.
        payload = self._ledger.append(EventKind.DECISION, history.decide(self.rules, self.progress)).payload
        in_flight = len(self.progress.flights)
        self.progress = history.after_decision(self.rules, self.progress, payload)
        if payload["queries"]:
            self.last_decision = payload
        self._submit(in_flight)
        if not self.progress.flights:
            self._stop(Outcome[payload["outcome"]])

    def _expect_prices(self) -> None:
        """Note what queries are expected to cost, where that has become known or has moved."""
        asked = {observation.candidate for observation in self.progress.observations}
        known = self.progress.known(asked) if any(isinstance(o, Priced) for o in self.oracles.values()) else {}
        for name, oracle in self.oracles.items():
            expected = self._expected_prices_eur(name, oracle, known)
            prices = history.moved_prices(self.rules, self.progress, name, expected)
            if prices:
                payload = {"fidelity": name, "expected_eur": prices, "hours": self.progress.hours}
                event = self._ledger.append(EventKind.PRICES, payload)
                self.progress = history.after_prices(self.rules, self.progress, event.payload)

    def _expected_prices_eur(
        self, name: str, oracle: Oracle, known: Mapping[str, Mapping[str, Mapping[str, Any]]]
    ) -> Mapping[str, float]:
        """Return what the oracle says, or else what attempts that failed have taught."""
        if isinstance(oracle, Priced):
            return oracle.expected_prices_eur(known)
        return expected_prices_eur(self.rules.ladder[name], self.rules.pool, self.progress.observations)

    def _withdraw(self) -> None:
        """Take back queries that no longer pay and that nothing has been spent on.

        On a declared clock what has begun is not known: whether a calculation waits depends on this machine.
        """
        if self.config.campaign.clock == "declared" or not self.progress.flights:
            return
        unwanted = history.not_worth_waiting_for(self.rules, self.progress)
        gone = [key for name, oracle in self.oracles.items() for key in _withdrawn(name, oracle, unwanted)]
        if gone:
            event = self._ledger.append(EventKind.WITHDRAWAL, {"queries": gone, "hours": self._wall_hours()})
            self.progress = history.after_withdrawal(self.rules, self.progress, event.payload)

    def _submit(self, first: int = 0) -> None:
        for name, oracle in self.oracles.items():
            queries = [flight.query for flight in self.progress.flights[first:] if flight.query.fidelity == name]
            refused = {one.key: one for one in self._refused(queries)}
            self._arrived |= refused
            admitted = [query for query in queries if query.key not in refused]
            if admitted and isinstance(oracle, Timed):
                oracle.advance(self.progress.hours)
            if admitted:
                oracle.submit(admitted)

    def _refused(self, queries: Sequence[Query]) -> Sequence[Observation]:
        constraints = self.config.constraints
        return refused_queries(constraints, self.rules.pool, queries) if constraints.declared and queries else []

    def _correct(self) -> bool:
        """Note newer answers to queries that were answered before; say whether there were any."""
        entries = []
        for name, oracle in self.oracles.items():
            if isinstance(oracle, Attended):
                recorded = [one for one in self.progress.observations if one.fidelity == name]
                newer = [observation_payload(_sound(one)) for one in oracle.corrections(recorded)]
                entries += [(EventKind.CORRECTION, {**payload, "hours": self._hours()}) for payload in newer]
        for event in self._ledger.append_many(entries):
            self.progress = history.after_correction(self.rules, self.progress, event.payload)
        return bool(entries)

    def _land(self, watch: Callable[[Self], None]) -> None:
        """Take in the answers that are due; none where only people can bring them, or where others were corrected."""
        hours, observations = self._wait(watch)
        if not observations:
            return
        answers = [(EventKind.OBSERVATION, {**observation_payload(o), "hours": hours}) for o in observations]
        payloads = [event.payload for event in self._ledger.append_many(answers)]
        self.progress = history.after_observations(self.rules, self.progress, payloads)
        self._correct()  # what was corrected between arrival and landing must not be decided on

    def _wait(self, watch: Callable[[Self], None]) -> tuple[float, list[Observation]]:
        hours, due = next_landing(self._timed_flights())
        wanted = [flight.query.key for flight in due]
        while not self._correct():
            self._tell_time(self._wall_hours() if self.config.campaign.clock == "wall" else hours)
            self._collect()
            if self.config.campaign.clock == "wall":
                wanted = [f.query.key for f in self.progress.flights if f.query.key in self._arrived]
                hours = self._wall_hours()
            if wanted and all(key in self._arrived for key in wanted):
                return hours, [self._arrived.pop(key) for key in wanted]
            if self._only_people():
                break
            watch(self)
            time.sleep(_POLL_SECONDS)
        return hours, []

    def _only_people(self) -> bool:
        missing = [f.query for f in self.progress.flights if f.query.key not in self._arrived]
        by_oracle = {name: [q for q in missing if q.fidelity == name] for name in {q.fidelity for q in missing}}
        oracles = [(self.oracles[name], queries) for name, queries in by_oracle.items()]
        return all(isinstance(oracle, Attended) and oracle.awaits(queries) for oracle, queries in oracles)

    def _timed_flights(self) -> list[Flight]:
        """Return the flights, those of oracles with a simulation of their own due when that says."""
        timed = [oracle.due_hours() for oracle in self.oracles.values() if isinstance(oracle, Timed)]
        due = {key: hours for known in timed for key, hours in known.items()}
        return [replace(one, due_hours=due.get(one.query.key, one.due_hours)) for one in self.progress.flights]

    def _tell_time(self, hours: float) -> None:
        for oracle in self.oracles.values():
            if isinstance(oracle, Timed):
                oracle.advance(hours)

    def _collect(self) -> None:
        expected = {flight.query.key for flight in self.progress.flights}
        for name, oracle in self.oracles.items():
            for observation in oracle.collect():
                if observation.key not in expected or observation.fidelity != name:
                    raise OracleError(
                        f"{name} answered {observation.key}, which it was not asked; its oracle needs mending"
                    )
                self._arrived[observation.key] = _sound(observation)

    def _hours(self) -> float:
        return self._wall_hours() if self.config.campaign.clock == "wall" else self.progress.hours

    def _wall_hours(self) -> float:
        return max(self.progress.hours, (datetime.now(UTC) - self._started).total_seconds() / 3600.0)

    def _stop(self, outcome: Outcome) -> None:
        ranked = self.config.model.acquisition != "value"
        note = [_RANKED.format(self.config.model.acquisition)] if ranked else []
        reason = "; ".join([(_REASONS | _RANKED_REASONS if ranked else _REASONS)[outcome], *note, *self.warnings])
        payload = {"reason": reason, "hours": self.progress.hours, "spent_eur": self.spent_eur}
        self._ledger.append(EventKind.STOP, payload)
        self.progress = replace(self.progress, stopped=reason)


def _withdrawn(name: str, oracle: Oracle, unwanted: Sequence[Query]) -> Sequence[str]:
    queries = [query for query in unwanted if query.fidelity == name]
    return oracle.withdraw(queries) if queries and isinstance(oracle, Withdrawing) else []


def _first_payload(config: CampaignConfig, rules: Rules) -> dict:
    return {
        "config": config.model_dump(mode="json"),
        "pool": {"size": len(rules.pool), "sha256": fingerprint(rules.pool)},
        "python": platform.python_version(),
        "versions": {name: version(name) for name in _RECORDED_PACKAGES},
    }


def _sound(observation: Observation) -> Observation:
    """Return the observation, as a failure if its numbers are unusable: what cannot be learnt from is not a value."""
    value, noise_sd = observation.value, observation.noise_sd
    usable = value is not None and math.isfinite(value) and (noise_sd is None or 0.0 <= noise_sd < math.inf)
    if observation.failure is None and not usable:
        reason = f"answered {value=} with {noise_sd=}: not finite, or a negative deviation"
        return replace(observation, value=None, noise_sd=None, failure=reason)
    if not math.isfinite(observation.price_eur) or observation.price_eur < 0:
        raise OracleError(f"{observation.key} was charged {observation.price_eur=}; its oracle needs mending")
    return observation

"""Where simulated campaigns begin: at the present of a live one."""

import jax.numpy as jnp
import numpy as np

from mfal.campaign.history import Progress, Rules
from mfal.whatif.simulate import Flights, Start


def begin(rules: Rules, progress: Progress) -> Start:
    """Return the start of simulated campaigns that go on from what has happened so far.

    Args:
        rules: of the live campaign.
        progress: what its ledger amounts to.
    """
    size, flights = rules.policy.batch, progress.flights
    candidate, fidelity, due = np.zeros(size, np.int32), np.zeros(size, np.int32), np.zeros(size)
    for row, flight in enumerate(flights):
        candidate[row] = rules.pool.index(flight.query.candidate)
        fidelity[row] = rules.ladder.index(flight.query.fidelity)
        due[row] = flight.due_hours
    used = np.arange(size) < len(flights)
    return Start(
        state=progress.state,
        flights=Flights(*map(jnp.asarray, (candidate, fidelity, due, used))),
        hours=jnp.asarray(progress.hours),
        decisions=jnp.asarray(progress.decisions, dtype=jnp.int32),
    )

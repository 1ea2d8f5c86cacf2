"""What the factories of oracles share: options checked before money is spent, and the queue of the campaign file."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mfal.errors import CampaignFileError, OracleError
from mfal.oracle import OracleContext, Query, need_package
from physics.queue.aiida_queue import AiidaQueue
from physics.queue.job import JobQueue
from physics.queue.local_queue import LocalQueue
from physics.queue.settings import settings_from


def refuse_unknown(options: Mapping[str, Any], known: Sequence[str], place: str) -> None:
    """Refuse options that nothing reads.

    Raises:
        CampaignFileError: there are some.
    """
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise CampaignFileError(f"{place}: unknown options {unknown}; known: {sorted(known)}")


def rate_of(context: OracleContext, place: str) -> float | None:
    """Return ``rate_eur_per_core_hour``, None where the declared price is what is paid.

    Raises:
        CampaignFileError: it is no price, or nothing is declared for the time until an expected price is known.
    """
    rate = context.fidelity.options.get("rate_eur_per_core_hour")
    if rate is not None and (not isinstance(rate, int | float) or isinstance(rate, bool) or not 0 <= rate < math.inf):
        raise CampaignFileError(f"{place}: options.rate_eur_per_core_hour={rate!r}: use a number, EUR per core-hour")
    if rate and not context.fidelity.price_eur:
        raise CampaignFileError(f"{place}: price_eur=0 with options.rate_eur_per_core_hour={rate!r}: declare a price")
    return rate


def geometry_source(context: OracleContext, place: str) -> str:
    """Return ``geometry_from``, the fidelity whose structures are calculated; default ``chgnet``.

    Raises:
        CampaignFileError: this fidelity does not require it.
    """
    source = context.fidelity.options.get("geometry_from", "chgnet")
    if source not in context.fidelity.requires:
        raise CampaignFileError(
            f"{place}: options.geometry_from={source!r} must be in requires={list(context.fidelity.requires)}"
        )
    return source


def structure_known(query: Query, geometry_from: str) -> Mapping[str, Any]:
    """Return the structure that another fidelity has found for the candidate.

    Raises:
        OracleError: it has found none.
    """
    structure = query.known.get(geometry_from, {}).get("structure")
    if structure is None:
        raise OracleError(f"{query.key} has no structure from {geometry_from=}: ask that fidelity first")
    return structure


def local_queue(context: OracleContext) -> LocalQueue:
    """Return a queue of processes on this machine."""
    return LocalQueue(context.directory, context.cache, context.workers)


def dft_queue(context: OracleContext) -> JobQueue:
    """Return the queue that the campaign file asks for; AiiDA is not imported here but in a process of its own."""
    if context.queue.get("engine", "local") == "local":
        return local_queue(context)
    need_package("aiida", "queue")
    return AiidaQueue(context.directory, context.cache, context.workers, settings_from(context.queue))

"""What a laboratory's observations say, once its plates, its drift and its mistakes are accounted for.

An observation may carry ``details["readings"]``: ``values`` (as read), ``sd`` (of one), ``plate``, ``calibration``,
``weeks_since_calibration``, ``standards`` (readings of a reference on that plate), ``certified`` and ``certified_sd``.
All of a campaign's readings are looked at together each time: a later standard also tells about an earlier plate.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mfal.errors import DatasetError
from mfal.fidelity import Ladder
from mfal.oracle import Observation
from mfal.space.pool import Pool
from mfal.surrogate.plates import Readings, estimated

_FIELDS = ("values", "sd", "plate", "calibration", "weeks_since_calibration", "standards", "certified", "certified_sd")
# A reading counts as exact to this share of the values at best.
_LEAST = 1e-6


def as_measured(
    ladder: Ladder, pool: Pool, observations: Sequence[Observation]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return values and noise variances, both (candidates, fidelities); zero where there is no answer.

    None if the answers are to be taken as they came: none has readings, and no fidelity is ever mistaken.

    Raises:
        DatasetError: readings lack a field, or are no numbers.
    """
    doubtful = any(one.mistaken_share > 0.0 for one in ladder.fidelities)
    if not doubtful and not any("readings" in one.details for one in observations):
        return None
    value, variance = np.zeros((2, len(pool), len(ladder)))
    for one in (one for one in observations if one.value is not None):
        sd = ladder[one.fidelity].sd_of(one.noise_sd)
        at = pool.index(one.candidate), ladder.index(one.fidelity)
        value[at], variance[at] = one.value, sd**2
    for level, name in enumerate(ladder.names):
        read = [one for one in observations if one.fidelity == name and "readings" in one.details]
        if read:
            found = estimated(_readings(pool, read))
            value[found.specimen, level], variance[found.specimen, level] = found.value, found.variance
    return value, variance


def _readings(pool: Pool, observations: Sequence[Observation]) -> Readings:
    rows: list[tuple[Any, ...]] = []
    plates: set[int] = set()
    for one in observations:
        read = one.details["readings"]
        missing = [key for key in _FIELDS if key not in read]
        if missing:
            raise DatasetError(f"{one.key}: readings lack {missing}; the laboratory has to report them")
        place = read["plate"], read["calibration"], read["weeks_since_calibration"]
        variance = max(read["sd"] ** 2, (_LEAST * max(map(abs, read["values"]))) ** 2, np.finfo(float).tiny ** 0.5)
        rows.append((pool.index(one.candidate), np.mean(read["values"]), variance / len(read["values"]), *place))
        if read["plate"] not in plates and read["standards"]:
            plates.add(read["plate"])
            off = np.mean(read["standards"]) - read["certified"]
            rows.append((-1, off, variance / len(read["standards"]), *place))
    certified = max(one.details["readings"]["certified_sd"] for one in observations) ** 2
    specimen, value, variance, plate, calibration, weeks = map(np.array, zip(*rows, strict=True))
    return Readings(specimen, value, variance, plate, calibration, weeks.astype(float), float(certified))

"""A laboratory of made-up materials for the tests."""

import numpy as np

from physics.experiment.failures import Failures
from physics.experiment.laboratory import Instrument, Laboratory, Truth
from physics.experiment.line import Arrival
from physics.experiment.recipe import Platform, Precursor, Ramp, Recipe

NAMES = [f"m{i}" for i in range(40)]


def recipe(name, kelvin=1500.0, **changes):
    """Return the recipe of every material."""
    fields = {
        "product": name,
        "precursors": (Precursor("Ni", 1000.0), Precursor("Co", 500.0)),
        "heating": (Ramp(kelvin, 300.0),),
        "hold_minutes": 600.0,
        "cooling": (Ramp(300.0, 600.0),),
        "atmosphere": "Ar",
        "vessel": "alumina crucible",
    }
    return Recipe(**{**fields, **changes})


def laboratory(seed=0, sd=0.0, truth=None, **failures):
    """Return a laboratory where material i has the value 10 i, and the next one is what it is mistaken for."""
    instrument = Instrument(sd, standards=3, certified=100.0)
    return Laboratory(seed, truth or plain_truth(), recipe, instrument, failures=Failures(**failures))


def plain_truth(**changes):
    """Return values 0, 10, 20, ...; ranks in the same order."""
    value = {name: 10.0 * i for i, name in enumerate(NAMES)}
    fields = {
        "value": value,
        "mistaken_for": {name: NAMES[(i + 1) % len(NAMES)] for i, name in enumerate(NAMES)},
        "rank": dict(zip(NAMES, np.linspace(0.0, 1.0, len(NAMES)), strict=True)),
    }
    return Truth(**{**fields, **changes})


def arrivals(days=5):
    """Return the samples spread over some days, from eight o'clock on."""
    return [Arrival(name, 480 + 1440 * (i * days // len(NAMES))) for i, name in enumerate(NAMES)]


HOT = Platform(rate_per_hour=10.0)

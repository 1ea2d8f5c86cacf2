"""The tasks on which money is compared."""

from benchmarks.decisions.synthetic import synthetic
from benchmarks.decisions.tasks import INTERMETALLICS, Task, alloys, gap_window, intermetallics

# Function, distortion of the cheap source, price of the target over that of the source.
SWEEP = (
    ("branin", 0.0, 100.0),
    ("branin", 1.0, 100.0),
    ("park", 0.0, 100.0),
    ("park", 1.0, 100.0),
    ("hartmann3", 0.0, 100.0),
    ("hartmann3", 1.0, 100.0),
    ("hartmann3", 0.0, 10.0),
)


def suite(smoke: bool) -> list[Task]:
    """Return the tasks; a single one for a check that it runs."""
    if smoke:
        return [synthetic("branin", 0.0, 100.0)]
    computed = [intermetallics()] if INTERMETALLICS.exists() else []
    return [gap_window(), *computed, alloys(), *(synthetic(*part) for part in SWEEP)]

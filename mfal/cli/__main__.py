"""``python -m mfal.cli``."""

import sys

from mfal.cli import main

sys.exit(main())

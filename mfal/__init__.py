"""Decide where a materials group spends its next euro: MLIP, DFT or experiment."""

import os

# The matrices of a campaign are small: a second BLAS thread makes a Cholesky factor of 128 rows 300 times slower
# when the other core is busy with a calculation. Must be set before the first import of SciPy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

"""Decide where a materials group spends its next euro: MLIP, DFT or experiment."""

import os

# The matrices of a campaign are small: a second BLAS thread makes a Cholesky factor of 128 rows 300 times slower
# when the other core is busy with a calculation. Must be set before the first import of SciPy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Trying out every way to multiply two matrices takes XLA minutes for a GPU when the pool is large (38 s instead of half
# a second for a step of 10^5 candidates), and in double precision gains nothing. Must be set before JAX's first use.
if "xla_gpu_autotune_level" not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_autotune_level=0".strip()

# Before 0.11.2 a batched LAPACK call of jaxlib waits, on a thread of XLA's pool, for work left to the same pool: as
# many of them at once as there are threads, and all wait for ever. Two cores have two; more than eight would cost more
# time than they save. Must be set before JAX's first use.
os.environ.setdefault("PJRT_NPROC", str(max(8, os.cpu_count() or 1)))

"""``equinox.filter_jit`` with the options of XLA that the products of large float64 matrices need."""

from collections.abc import Callable
from typing import Any, TypeVar

import equinox as eqx

Function = TypeVar("Function", bound=Callable[..., Any])

# Without trying out cuBLAS's algorithms a network's fit on an H100 takes several times as long, and `mfal` turns that
# off for its own programs. Trying out Triton's as well, which has none for float64 worth having, takes a minute.
# On a processor options of GPUs mean nothing.
_OPTIONS = {"xla_gpu_autotune_level": 4, "xla_gpu_enable_triton_gemm": False}


def compiled(function: Function) -> Function:
    """Return a function that is compiled at its first call; it must not be called inside another compiled one."""
    return eqx.filter_jit(function, compiler_options=_OPTIONS)  # pyright: ignore[reportCallIssue, reportReturnType]

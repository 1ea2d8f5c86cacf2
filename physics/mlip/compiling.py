"""``jax.jit`` with the options of XLA that a potential needs: without what crashes, with what is fast."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import jax

Function = TypeVar("Function", bound=Callable[..., Any])

# jaxlib 0.10.2 and 0.11.0 read beyond their buffers in products and sums of float32 on x86 (jax issues 39257, 40412).
# An environment variable would have to be set before JAX starts, so the option goes with each compilation.
_WITHOUT_YNN = {"xla_cpu_experimental_ynn_fusion_type": ""}
# `mfal` turns this off for its own programs; large float32 products take half as long again without it.
_AUTOTUNED = {"xla_gpu_autotune_level": 4}


def compiled(function: Function, static: tuple[str, ...] = ()) -> Function:
    """Return a function that is compiled at its first call; it must not be called inside another compiled one.

    Args:
        function: traceable.
        static: names of arguments, passed by name, that are part of the program.
    """

    @functools.cache
    def jitted() -> Callable[..., Any]:  # at the first call: asking for the options starts JAX
        return jax.jit(function, static_argnames=static, compiler_options=_compiler_options())

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        return jitted()(*arguments, **named)

    return call  # pyright: ignore[reportReturnType]


@functools.cache
def _compiler_options() -> dict[str, str | int]:
    if jax.default_backend() != "cpu":
        return {**_AUTOTUNED}
    try:
        jax.jit(lambda: 0.0, compiler_options={**_WITHOUT_YNN}).lower().compile()
    except jax.errors.JaxRuntimeError:
        return {}  # this jaxlib no longer, or not yet, has that generator
    return {**_WITHOUT_YNN}

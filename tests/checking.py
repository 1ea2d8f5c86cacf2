"""The type checker that jaxtyping's import hook uses in the tests."""

from typing import Any, Self, get_args

from beartype import BeartypeConf, beartype

# Numbers of either kind are welcome where a float is asked for (PEP 484).
_CHECK = beartype(conf=BeartypeConf(is_pep484_tower=True))


def check(function: Any) -> Any:
    """Return `function` with its annotations checked at each call, apart from `Self`.

    jaxtyping hands over one function at a time; beartype knows what `Self` is only when it is given the class.
    """
    annotations = getattr(function, "__annotations__", None)
    if annotations and not isinstance(function, type):
        function.__annotations__ = {name: hint for name, hint in annotations.items() if not _mentions_self(hint)}
    return _CHECK(function)


def _mentions_self(hint: Any) -> bool:
    return hint is Self or any(_mentions_self(part) for part in _parts(hint))


def _parts(hint: Any) -> tuple:
    # Callable[[A], B] has a list among its arguments.
    return tuple(hint) if isinstance(hint, list) else get_args(hint)

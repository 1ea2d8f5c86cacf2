"""The token of the server: from the environment, or from a file that only its owner can read."""

import os
import stat
from pathlib import Path

from mfal.errors import AccessError

VARIABLE = "MFAL_TOKEN"
_SHORTEST = 20
_MAKE = 'make one with: (umask 077; python -c "import secrets; print(secrets.token_urlsafe(32))" > token)'


def read_token(file: Path | None) -> str:
    """Return the token.

    Args:
        file: that holds it; None for the environment variable `VARIABLE`.

    Raises:
        AccessError: there is none, it is short, or others can read the file.
    """
    token = os.environ.get(VARIABLE, "") if file is None else _from_file(file)
    if not token:
        raise AccessError(f"there is no token; set {VARIABLE} or give --token-file FILE; {_MAKE}")
    if len(token) < _SHORTEST or not token.isascii() or not token.isprintable():
        raise AccessError(f"the token has {len(token)} characters; use at least {_SHORTEST} printable ones; {_MAKE}")
    return token


def _from_file(file: Path) -> str:
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
        token = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise AccessError(f"--token-file {file} cannot be read ({error}); {_MAKE}") from error
    if mode & 0o077:
        raise AccessError(f"--token-file {file} has mode {mode:o}, so others can read it; run: chmod 600 {file}")
    return token

"""Typed errors of static mistakes; what goes wrong in a calculation is an answer with the key ``failure``."""


class DFTError(Exception):
    """Base of every error that this package raises on purpose."""


class SettingsError(DFTError):
    """Settings that no calculation can have: names the value and the allowed ones."""


class MissingLibxcError(DFTError):
    """A functional needs libxc and GPAW was built without it."""

    def __init__(self, functional: str):
        super().__init__(
            f"{functional=} needs libxc, and this GPAW was built without it; install g++, make and libxc's headers "
            "(Debian: libxc-dev), name 'xc' in the libraries of a GPAW siteconfig, set GPAW_CONFIG to that file and "
            "run: pip install --no-cache-dir --no-binary gpaw --no-deps --force-reinstall gpaw (README, Install); "
            "or use 'PBE' or 'LDA'"
        )


class CalculatorError(DFTError):
    """Another code is not allowed, not installed or given options that it does not take."""

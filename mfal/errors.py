"""Typed errors. Every message names the place, the value found and the remedy."""


class MfalError(Exception):
    """Base of every error that mfal raises on purpose."""


class CampaignFileError(MfalError):
    """A campaign file that cannot be accepted: names file, line, key, value and remedy."""


class MissingExtraError(MfalError):
    """An optional package is not installed: names the extra that brings it."""

    def __init__(self, package: str, extra: str):
        super().__init__(f"{package=} is not installed; install it with: pip install 'mfal[{extra}]'")


class UnknownPluginError(MfalError):
    """No oracle or pool is registered under the name: lists those that are."""


class OracleError(MfalError):
    """An oracle broke its contract (a failed job is an observation, not an error)."""


class LedgerError(MfalError):
    """The ledger cannot be opened, written or understood."""


class LedgerBusyError(LedgerError):
    """Another process writes the ledger: names it."""


class TamperedLedgerError(LedgerError):
    """The hash chain or the seal does not match the bytes: names the first bad event."""


class ReplayMismatchError(LedgerError):
    """A recorded decision is not what the policy computes from the recorded events."""


class StudyError(MfalError):
    """A what-if study that could tell nothing: names the value and the remedy."""


class ScreeningError(MfalError):
    """Structures that cannot be screened at all: names the place and the remedy."""


class DatasetError(MfalError):
    """An answer cannot become data: names the row, the value and the remedy."""


class ResultsRefusedError(MfalError):
    """Results from a laboratory that cannot be accepted: names file, line, column, value and remedy."""


class ReviewError(MfalError):
    """A person's decision that cannot be signed: names the item and the remedy."""


class AccessError(MfalError):
    """The door to the laboratory cannot be opened safely: names the token's place and the remedy."""


class ConstraintError(MfalError):
    """Nothing satisfies the conditions, or a candidate does not: names the condition, the value and the remedy."""


class GenerationError(MfalError):
    """No candidates can be generated: names the corpus, the option or the setting, the value and the remedy."""

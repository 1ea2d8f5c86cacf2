"""The pool and the oracles that a campaign file names; no JAX is needed for these."""

import hashlib
from pathlib import Path

import numpy as np

from mfal.campaign.config import CampaignConfig
from mfal.errors import CampaignFileError, MfalError, OracleError, UnknownPluginError
from mfal.oracle import Oracle, OracleContext, load_plugin
from mfal.space.pool import Pool


def build_pool(config: CampaignConfig) -> Pool:
    """Return the candidates that the campaign file names.

    Raises:
        CampaignFileError: the source is unknown, refuses its options, or has too few candidates for the question.
    """
    try:
        pool = load_plugin("mfal.pools", config.candidates.source)(config.candidates.options)
    except MfalError as error:
        raise CampaignFileError(f"[candidates] source = {config.candidates.source!r}: {error}") from error
    top = config.campaign.top
    if top is not None and top >= len(pool):
        raise CampaignFileError(f"[campaign] top = {top} of {len(pool)} candidates asks nothing; lower it")
    return pool


def build_oracles(config: CampaignConfig, pool: Pool, directory: Path) -> dict[str, Oracle]:
    """Return one oracle per fidelity; missing packages and wrong options surface here, before money is spent."""
    cache = config.compute.folder(directory)
    oracles = {}
    for fidelity in config.ladder.fidelities:
        context = OracleContext(directory, cache, fidelity, pool, config.compute.workers, config.dft.queue.model_dump())
        try:
            oracle = load_plugin("mfal.oracles", fidelity.oracle)(context)
        except (CampaignFileError, UnknownPluginError) as error:
            raise CampaignFileError(f"[[fidelity]] {fidelity.name}: {error}") from error
        if not isinstance(oracle, Oracle):
            raise OracleError(f"{fidelity.oracle=} of {fidelity.name=} lacks submit, collect, running or close")
        oracles[fidelity.name] = oracle
    return oracles


def fingerprint(pool: Pool) -> str:
    """Return the SHA-256 of the candidates and their descriptors."""
    digest = hashlib.sha256("\n".join([*pool.ids, *pool.columns]).encode())
    digest.update(np.ascontiguousarray(pool.descriptors, dtype=np.float64).tobytes())
    return digest.hexdigest()

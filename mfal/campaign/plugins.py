"""The pool and the oracles that a campaign file names; no JAX is needed for these."""

import hashlib
from pathlib import Path

import numpy as np

from mfal.campaign.config import CampaignConfig
from mfal.errors import CampaignFileError, ConstraintError, MfalError, OracleError, UnknownPluginError
from mfal.oracle import Oracle, OracleContext, load_plugin
from mfal.space.pool import Pool


def build_pool(config: CampaignConfig) -> Pool:
    """Return the candidates that the campaign file names and its constraints admit.

    Raises:
        CampaignFileError: the source is unknown, refuses its options, or has too few candidates for the question.
    """
    pool = named_pool(config)
    if config.constraints.on_compositions:
        pool = _feasible(config, pool)
    top = config.campaign.top
    if top is not None and top >= len(pool):
        raise CampaignFileError(f"[campaign] top = {top} of {len(pool)} candidates asks nothing; lower it")
    return pool


def named_pool(config: CampaignConfig) -> Pool:
    """Return the candidates that the campaign file names, before its constraints.

    Raises:
        CampaignFileError: the source is unknown or refuses its options.
    """
    try:
        return load_plugin("mfal.pools", config.candidates.source)(config.candidates.options)
    except MfalError as error:
        raise CampaignFileError(f"[candidates] source = {config.candidates.source!r}: {error}") from error


def refused(config: CampaignConfig, pool: Pool) -> dict[str, str]:
    """Return the candidates of a pool that ``[constraints]`` refuses, each with the reasons.

    Raises:
        CampaignFileError: a candidate's composition or a constraint cannot be read.
    """
    from mfal.campaign.feasibility import refusals  # loads JAX

    formulas = {name: pool.formula(name) for name in pool.ids}
    try:
        reasons = refusals(config.constraints, list(formulas.values()))
    except ConstraintError as error:
        raise CampaignFileError(f"[constraints]: {error}") from error
    return {name: reasons[formula] for name, formula in formulas.items() if formula in reasons}


def _feasible(config: CampaignConfig, pool: Pool) -> Pool:
    out = refused(config, pool)
    kept = [name for name in pool.ids if name not in out]
    if not kept:
        name, reason = next(iter(out.items()))
        raise CampaignFileError(f"[constraints] refuse all {len(pool)} candidates, {name} because {reason}; relax them")
    rows = [pool.index(name) for name in kept]
    payload = {name: pool.payload[name] for name in kept if name in pool.payload}
    return Pool(kept, pool.descriptors[rows], pool.columns, payload)


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

"""When a fidelity stops paying: at which price, and at which correlation with the target."""

import math

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pandas as pd

from mfal.whatif.paired import paired
from mfal.whatif.scenario import with_limit, with_price
from mfal.whatif.setting import Setting
from mfal.whatif.study import Outcomes
from mfal.whatif.world import Table

# Prices that are tried: steps from today's to the target's, even in their logarithm.
PRICES = 4
# Prices of a fidelity that is free today begin at this share of the target's.
FREE_SHARE = 1e-4
# Share that is kept of what a fidelity has in common with all others; 1 is the belief as it is.
KEPT = (1.0, 0.7, 0.4, 0.0)


def against_price(setting: Setting) -> pd.DataFrame:
    """Return the outcome with each fidelity below the target at rising prices, beside that without it.

    Returns:
        Index (fidelity, price_eur). Columns hits and net_eur: means with the fidelity at that price; hits_without and
        net_without_eur: means if it is never asked; more_net_eur: mean difference; se_eur: its standard error.
    """
    rows = {}
    for level in setting.lower:
        without = setting.outcomes(with_limit(setting.policy, level, 0))
        for price in _prices(setting, level):
            outcomes = setting.outcomes(with_price(setting.policy, level, price))
            rows[setting.names[level], price] = _beside(setting, outcomes, without)
    return _framed(rows, "price_eur")


def against_correlation(setting: Setting) -> pd.DataFrame:
    """Return the outcome with each fidelity below the target in worlds in which it tells ever less.

    The deviation d of a drawn answer from its expectation is blended with one of an independent world, d': a d +
    sqrt(1 - a^2) d'. That keeps its spread and multiplies its correlation with everything else by a. What has been
    asked stays as it is. The policy is not told: it believes the correlation that it has learnt.

    Returns:
        Index (fidelity, correlation): mean over the worlds of the correlation with the target over the candidates not
        asked yet; a fidelity that has been asked about all of them is left out. Columns as in `against_price`.
    """
    rows = {}
    for level in (level for level in setting.lower if _open(setting, level).any()):
        without = setting.outcomes(with_limit(setting.policy, level, 0))
        for kept in KEPT:
            worlds = blended(setting, level, kept)
            outcomes = setting.run(setting.policy, setting.start, worlds)
            correlation = round(_correlation(setting, worlds, level), 4)
            rows[setting.names[level], correlation] = _beside(setting, outcomes, without)
    return _framed(rows, "correlation")


def break_even(table: pd.DataFrame) -> pd.DataFrame:
    """Return where a fidelity stops paying, a row a fidelity, from `against_price` or `against_correlation`.

    It pays where the mean net worth with it is above that without. The first change of sign from today's value on is
    interpolated linearly.

    Returns:
        Columns at: that price (EUR) or correlation, NaN if there is none; verdict: in words.
    """
    name = table.index.names[1]
    rows = {fidelity: _crossing(*_along(part), str(name)) for fidelity, part in
            table.groupby(level=0, sort=False)}  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index", columns=["at", "verdict"]).rename_axis("fidelity")


def blended(setting: Setting, level: int, kept: float) -> Table:
    """Return the worlds with a share of what a fidelity has in common with the others, see `against_correlation`."""
    worlds, state = setting.worlds, setting.start.state
    mean = state.belief.mean[:, level]
    deviation = kept * (worlds.mean[..., level] - mean)
    deviation += math.sqrt(1.0 - kept**2) * (setting.others.mean[..., level] - mean)
    new = jnp.where(state.dataset.asked[:, level], worlds.mean[..., level], mean + deviation)
    noise = worlds.value[..., level] - worlds.mean[..., level]
    replaced = (worlds.value.at[..., level].set(new + noise), worlds.mean.at[..., level].set(new))
    changed = eqx.tree_at(lambda w: (w.value, w.mean), worlds, replaced)
    return worlds if kept == 1.0 else changed


def _prices(setting: Setting, level: int) -> list[float]:
    target, today = (float(setting.policy.price_eur[index]) for index in (setting.policy.target, level))
    first = max(today, FREE_SHARE * target)
    dearer = np.geomspace(first, max(target, 4.0 * first), PRICES)
    return [today, *(float(price) for price in dearer[1:])]


def _open(setting: Setting, level: int) -> np.ndarray:
    """Return the candidates that have been asked neither at a fidelity nor at the target."""
    asked = np.asarray(setting.start.state.dataset.asked)
    return np.logical_not(asked[:, level] | asked[:, setting.policy.target])


def _correlation(setting: Setting, worlds: Table, level: int) -> float:
    open_ = _open(setting, level)
    x, y = (np.asarray(worlds.mean)[:, open_, index] for index in (level, setting.policy.target))
    x, y = (part - part.mean(axis=1, keepdims=True) for part in (x, y))
    scale = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    return float(np.mean((x * y).sum(axis=1) / np.maximum(scale, 1e-300)))


def _beside(setting: Setting, outcomes: Outcomes, without: Outcomes) -> dict[str, float]:
    net, net_without = setting.value.net(outcomes), setting.value.net(without)
    more, error = paired(net, net_without)
    return {
        "hits": _mean_hits(outcomes), "hits_without": _mean_hits(without), "net_eur": float(net.mean()),
        "net_without_eur": float(net_without.mean()), "more_net_eur": more, "se_eur": error,
    }  # fmt: skip


def _mean_hits(outcomes: Outcomes) -> float:
    return float(np.mean(np.asarray(outcomes.hits)[:, -1]))


def _framed(rows: dict[tuple[str, float], dict[str, float]], along: str) -> pd.DataFrame:
    columns = [list(part) for part in zip(*rows, strict=True)] or [[], []]
    index = pd.MultiIndex.from_arrays(columns, names=["fidelity", along])
    return pd.DataFrame(list(rows.values()), index=index)


def _along(part: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    at = part.index.get_level_values(1).to_numpy(dtype=float)
    return at, part["more_net_eur"].to_numpy(dtype=float)


def _crossing(at: np.ndarray, gain: np.ndarray, name: str) -> tuple[float, str]:
    unit = "price" if name == "price_eur" else "correlation"
    if gain[0] <= 0.0:
        return float("nan"), f"does not pay at today's {unit}"
    below = np.flatnonzero(gain <= 0.0)
    if not len(below):
        return float("nan"), f"pays at every {unit} tried"
    after = int(below[0])
    share = gain[after - 1] / (gain[after - 1] - gain[after])
    edge = float(at[after - 1] + share * (at[after] - at[after - 1]))
    return (
        edge,
        f"pays up to EUR {edge:,.2f} a query" if unit == "price" else f"pays down to a correlation of {edge:.2f}",
    )

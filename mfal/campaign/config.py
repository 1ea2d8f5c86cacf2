"""The campaign file: strict keys, types and ranges; every refusal names file, line, key, value and remedy."""

import builtins
import difflib
import re
import tomllib
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import Field, ValidationError

from mfal.campaign.constraints import ConstraintsSection
from mfal.campaign.section import Section
from mfal.errors import CampaignFileError
from mfal.fidelity import Fidelity, Ladder
from mfal.queueing import queue_problems

# The unit that every oracle of a known property answers in.
PROPERTY_UNITS = {
    "formation_energy": "eV/atom",
    "energy_above_hull": "eV/atom",
    "band_gap": "eV",
    "bulk_modulus": "GPa",
    "hardness": "HV",
    "yield_strength": "MPa",
}


class CampaignSection(Section):
    """Table ``[campaign]``: the question and the money."""

    name: str = Field(min_length=1)
    seed: int = Field(ge=0)
    budget_eur: float = Field(gt=0)
    best: Literal["lowest", "highest"] | None = None
    top: int | None = Field(default=None, ge=1)
    window: tuple[float, float] | None = Field(default=None, strict=False)
    wanted: int | None = Field(default=None, ge=1)
    value_of_hit_eur: float | None = Field(default=None, gt=0)
    value_per_unit_eur: float | None = Field(default=None, gt=0)
    waiting_eur_per_hour: float = Field(default=0.0, ge=0)
    clock: Literal["declared", "wall"] = "declared"
    failure_limit: int = Field(default=3, ge=1)


class ModelSection(Section):
    """Table ``[model]``: what the decisions are computed with; the defaults suit most campaigns.

    Only ``acquisition = "value"`` weighs gains in EUR against prices and stops when nothing pays; all others rank
    queries by gain per EUR, and go on until the budget or what can be asked is used up.
    """

    surrogate: Literal["auto", "recursive", "joint"] = "auto"
    link: Literal["linear", "nonlinear"] = "linear"
    acquisition: Literal[
        "value", "entropy", "improvement", "confidence_bound", "thompson", "knowledge_gradient", "window_information"
    ] = "value"


class PropertySection(Section):
    """Table ``[property]``: what is asked, its unit, and what values are expected before any data."""

    name: str = Field(min_length=1)
    unit: str = Field(min_length=1)
    typical_value: float
    typical_spread: float = Field(gt=0)


class CandidatesSection(Section):
    """Table ``[candidates]``: where the pool comes from."""

    source: str
    options: dict[str, Any] = Field(default_factory=dict)


class ComputeSection(Section):
    """Table ``[compute]``: processes at once, and the folder of finished calculations."""

    workers: int = Field(default=2, ge=1)
    cache: str | None = None

    def folder(self, directory: Path) -> Path:
        """Return the folder of finished calculations of a campaign in `directory`."""
        return Path(self.cache).expanduser() if self.cache else directory / "cache"


class QueueSection(Section):
    """Table ``[dft.queue]``: who runs DFT jobs; ``aiida`` keeps provenance and reaches SLURM."""

    engine: Literal["local", "aiida"] = "local"
    computer: Literal["local", "slurm"] = "local"
    database: str | None = None
    workers: int = Field(default=2, ge=1)
    in_flight: int = Field(default=4, ge=1)
    walltime_minutes: int = Field(default=60, ge=1)
    partition: str | None = None
    account: str | None = None
    gres: str | None = None
    modules: list[str] = Field(default_factory=list)


class DftSection(Section):
    """Table ``[dft]``: density functional calculations."""

    queue: QueueSection = QueueSection()


class FidelitySection(Section):
    """Table ``[[fidelity]]``: one priced source."""

    name: str = Field(min_length=1, pattern=r"^[A-Za-z0-9_.-]+$")
    oracle: str
    price_eur: float = Field(ge=0)
    latency_hours: float = Field(ge=0)
    capacity: int = Field(ge=1)
    limit: int | None = Field(default=None, ge=0)
    noise_sd: float = Field(ge=0)
    mistaken_share: float = Field(default=0.0, ge=0, lt=0.5)
    typical_value: float | None = None
    typical_spread: float | None = Field(default=None, gt=0)
    target: bool = False
    requires: list[str] = Field(default_factory=list)
    options: dict[str, Any] = Field(default_factory=dict)


class CampaignConfig(Section):
    """A whole campaign file."""

    campaign: CampaignSection
    property: PropertySection
    candidates: CandidatesSection
    constraints: ConstraintsSection = ConstraintsSection()
    compute: ComputeSection = ComputeSection()
    dft: DftSection = DftSection()
    model: ModelSection = ModelSection()
    fidelity: list[FidelitySection] = Field(min_length=1)

    # Plain `property` would be the field of that name.
    @builtins.property
    def ladder(self) -> Ladder:
        """The fidelities as the decision core sees them."""
        rungs = [
            Fidelity(
                s.name, s.oracle, s.price_eur, s.latency_hours, s.capacity, s.noise_sd, s.limit, tuple(s.requires),
                s.options, s.mistaken_share,
            )
            for s in self.fidelity
        ]  # fmt: skip
        target = next(s.name for s in self.fidelity if s.target)
        return Ladder(self.property.name, self.property.unit, rungs, target)

    @builtins.property
    def typical(self) -> tuple[list[float], list[float]]:
        """Typical value and spread of each fidelity; those of the property where it states none."""
        values = [self.property.typical_value if s.typical_value is None else s.typical_value for s in self.fidelity]
        spreads = [
            self.property.typical_spread if s.typical_spread is None else s.typical_spread for s in self.fidelity
        ]
        return values, spreads


def load(path: Path, fast: bool = False) -> CampaignConfig:
    """Read and check a campaign file.

    Args:
        path: a TOML file.
        fast: apply the file's ``[fast]`` table, which overrides keys for a short run.

    Raises:
        CampaignFileError: anything about the file that cannot be accepted.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CampaignFileError(
            f"{path}: cannot be read ({error}); make a campaign file with: mfal init {path}"
        ) from error
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CampaignFileError(f"{path}: not valid TOML: {error}; correct that line") from error
    overrides = raw.pop("fast", {})
    if fast and not overrides:
        raise CampaignFileError(
            f"{path}: --fast needs a [fast] table with the keys to override; add one or drop --fast"
        )
    # The short form is checked even when it is not used: a file is right or wrong as a whole.
    full = parse(raw, path, text)
    short = parse(merge(raw, overrides, path), path, text) if overrides else None
    return short if fast and short is not None else full


def parse(raw: Mapping[str, Any], path: Path, text: str = "") -> CampaignConfig:
    """Check the content of a campaign file; `path` and `text` serve the messages."""
    try:
        config = CampaignConfig.model_validate(raw)
    except ValidationError as error:
        raise CampaignFileError("\n".join(_explain(e, path, text) for e in error.errors())) from error
    found = [f"{_place(path, text, where)}: {problem}" for where, problem in _inconsistencies(config)]
    if found:
        raise CampaignFileError("\n".join(found))
    return config


def merge(raw: Mapping[str, Any], overrides: Any, path: Path) -> dict[str, Any]:
    """Return `raw` with the keys of the ``[fast]`` table replaced; its ``fidelity`` table goes by name."""
    if not isinstance(overrides, Mapping) or not isinstance(overrides.get("fidelity", {}), Mapping):
        raise CampaignFileError(f"{path}: [fast] must be a table; write [fast.campaign] or [fast.fidelity.NAME]")
    rungs = {section["name"]: section for section in raw["fidelity"]}
    for name in overrides.get("fidelity", {}):
        if name not in rungs:
            raise CampaignFileError(f"{path}: [fast.fidelity.{name}]: no fidelity has that name; known: {list(rungs)}")
        if not isinstance(overrides["fidelity"][name], Mapping):
            raise CampaignFileError(f"{path}: [fast.fidelity.{name}] must be a table of keys to override")
    plain = {key: value for key, value in overrides.items() if key != "fidelity"}
    merged = _merged(raw, plain)
    merged["fidelity"] = [_merged(rung, overrides.get("fidelity", {}).get(name, {})) for name, rung in rungs.items()]
    return merged


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    nested = {key for key in over if isinstance(over[key], Mapping) and isinstance(base.get(key), Mapping)}
    return {**base, **over, **{key: _merged(base[key], over[key]) for key in nested}}


def _inconsistencies(config: CampaignConfig) -> list[tuple[tuple, str]]:
    names = [section.name for section in config.fidelity]
    targets = [section.name for section in config.fidelity if section.target]
    found: list[tuple[tuple, str]] = []
    if len(set(names)) < len(names):
        found.append((("fidelity",), f"fidelity {names=} must be unique; rename one"))
    if len(targets) != 1:
        found.append((("fidelity",), f"exactly one fidelity must have target = true, found {targets}; mark one"))
    for index, section in enumerate(config.fidelity):
        unknown = sorted(set(section.requires) - set(names) | ({section.name} & set(section.requires)))
        if unknown:
            found.append(
                (("fidelity", index, "requires"), f"requires = {unknown} must name other fidelities of {names}")
            )
    try:
        TopologicalSorter({section.name: section.requires for section in config.fidelity}).prepare()
    except CycleError as error:
        found.append((("fidelity",), f"requires go in a circle: {' <- '.join(error.args[1])}; remove one"))
    found += _question_problems(config.campaign) + _model_problems(config) + _property_problems(config)
    queue = config.dft.queue
    contradictions = queue_problems(queue.engine, queue.computer, queue.database)
    found += [(("dft", "queue", key), problem) for key, problem in contradictions]
    return found + (_budget_problems(config) if len(targets) == 1 else [])


# The keys of each question, and the question in words; a file asks exactly one.
_QUESTIONS = {
    ("window", "value_of_hit_eur"): "which candidates lie in a window",
    ("best", "value_per_unit_eur"): "how much better can it get",
    ("best", "top", "value_of_hit_eur"): "which are the k best candidates",
}


def _question_problems(section: CampaignSection) -> list[tuple[tuple, str]]:
    possible = list(dict.fromkeys(key for keys in _QUESTIONS for key in keys))
    given = [key for key in possible if getattr(section, key) is not None]
    if "window" in given:
        keys = ("window", "value_of_hit_eur")
    elif "value_per_unit_eur" in given and not {"top", "value_of_hit_eur"} & set(given):
        keys = ("best", "value_per_unit_eur")
    else:
        keys = ("best", "top", "value_of_hit_eur")
    question = f"the question {_QUESTIONS[keys]!r} takes the keys {', '.join(keys)}"
    found: list[tuple[tuple, str]] = [
        (("campaign", key), f"{key} does not belong here: {question}; a file asks one question, so remove {key}")
        for key in given if key not in keys
    ]  # fmt: skip
    found += [
        (("campaign",), f"key {key!r} is missing: {question}; add it, or ask another question")
        for key in keys if key not in given
    ]  # fmt: skip
    if section.wanted is not None and section.value_per_unit_eur is not None:
        found.append((("campaign", "wanted"), "wanted counts hits, and an improvement has none; remove it"))
    if section.wanted is not None and section.top is not None and section.wanted > section.top:
        text = f"wanted = {section.wanted} is more than the {section.top} best; lower it, or raise top"
        found.append((("campaign", "wanted"), text))
    if section.window is not None and section.window[0] >= section.window[1]:
        low, high = section.window
        text = f"window = [{low:g}, {high:g}] is empty: write the lower edge first, and a higher one after it"
        found.append((("campaign", "window"), text))
    return found


def _model_problems(config: CampaignConfig) -> list[tuple[tuple, str]]:
    found: list[tuple[tuple, str]] = []
    window, chosen = config.campaign.window is not None, config.model.acquisition
    if chosen == "window_information" and not window:
        text = "acquisition = 'window_information' needs [campaign] window; set one, or write 'value'"
        found.append((("model", "acquisition"), text))
    if window and chosen not in ("value", "window_information"):
        text = f"acquisition = {chosen!r} looks for the best, not for a window; write 'value' or 'window_information'"
        found.append((("model", "acquisition"), text))
    if config.campaign.wanted is not None and chosen != "value":
        text = f"acquisition = {chosen!r} does not count hits; remove [campaign] wanted, or write 'value'"
        found.append((("model", "acquisition"), text))
    if config.model.link == "nonlinear" and config.model.surrogate == "joint":
        text = "link = 'nonlinear' is not known to surrogate = 'joint'; write 'recursive', or link = 'linear'"
        found.append((("model", "link"), text))
    return found


def _property_problems(config: CampaignConfig) -> list[tuple[tuple, str]]:
    expected = PROPERTY_UNITS.get(config.property.name, config.property.unit)
    if config.property.unit == expected:
        return []
    return [
        (
            ("property", "unit"),
            f"unit = {config.property.unit!r} is wrong for {config.property.name}; write {expected!r}",
        )
    ]


def _budget_problems(config: CampaignConfig) -> list[tuple[tuple, str]]:
    budget, where = config.campaign.budget_eur, ("campaign", "budget_eur")
    cheapest = min(config.fidelity, key=lambda section: section.price_eur)
    target = next(section for section in config.fidelity if section.target)
    if budget < cheapest.price_eur:
        text = f"is under the cheapest query ({cheapest.name}, EUR {cheapest.price_eur:g}); raise it"
        return [(where, f"budget_eur = {budget:g} {text}")]
    if budget < target.price_eur:
        text = f"cannot pay one query of the target ({target.name}, EUR {target.price_eur:g}); raise it"
        return [(where, f"budget_eur = {budget:g} {text}")]
    return []


_REMEDIES = {
    "extra_forbidden": "remove it",
    "missing": "add it",
    "greater_than": "use a larger number",
    "greater_than_equal": "use a number in range",
    "float_type": "write a bare number",
    "int_type": "write a whole number without quotes",
}
_UNITS = {"_eur": "EUR", "_hours": "hours", "_sd": "the property's unit"}


def _explain(error: Any, path: Path, text: str) -> str:
    where, kind = tuple(error["loc"]), error["type"]
    key = str(where[-1])
    if isinstance(where[-1], int) and len(where) > 2:
        # An element of a list: its place is that of the list.
        where, key = where[:-1], f"{where[-2]}[{where[-1]}]"
    remedy = _REMEDIES.get(kind, "correct it")
    unit = next((unit for suffix, unit in _UNITS.items() if key.endswith(suffix)), None)
    if unit and kind.endswith("_type"):
        remedy = f"write a bare number in {unit}"
    if kind == "extra_forbidden":
        remedy = _nearest(where) or remedy
        return f"{_place(path, text, where)}: unknown key {key!r}; {remedy}"
    if kind == "missing":
        within = where if key.endswith("]") else where[:-1]
        return f"{_place(path, text, within)}: key {key!r} is missing; {remedy}"
    return f"{_place(path, text, where)}: {key} = {error['input']!r} is refused ({error['msg']}); {remedy}"


def _nearest(where: tuple) -> str | None:
    model: Any = CampaignConfig
    for key in (part for part in where[:-1] if isinstance(part, str)):
        kind = model.model_fields[key].annotation
        model = (get_args(kind) or (kind,))[0]  # of a list, what it holds
    known = [*model.model_fields, *(["fast"] if len(where) == 1 else [])]
    close = difflib.get_close_matches(str(where[-1]), known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"


def _place(path: Path, text: str, where: tuple) -> str:
    """Return ``file:line [table] key`` of a position in the file; the line is found by reading the text."""
    tables = [part for part in where if isinstance(part, str)]
    occurrence = next((part for part in where if isinstance(part, int)), 0)
    if not tables:
        return f"{path}"
    table = ".".join(tables[:-1] or tables)
    header = re.compile(rf"^\s*\[\[?\s*{re.escape(table)}\s*\]\]?")
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines) if header.match(line)]
    if not starts:
        return f"{path}"
    start = starts[min(occurrence, len(starts) - 1)]
    assignment = re.compile(rf"^\s*{re.escape(tables[-1])}\s*=")
    for number in range(start + 1, len(lines)):
        if assignment.match(lines[number]):
            return f"{path}:{number + 1}: [{table}] {tables[-1]}"
        if re.match(r"^\s*\[", lines[number]) and not lines[number].lstrip().startswith(f"[{table}."):
            break
    return f"{path}:{start + 1}: [{table}]"

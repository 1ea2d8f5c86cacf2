"""The two documents that cross the door, with their versions: the batch that goes out, the results that come in."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

BATCH_VERSION = "mfal.batch/1"
RESULTS_VERSION = "mfal.results/1"
STEP, EXTRA = "step_", "x_"
_LONGEST_TEXT = 500


def _plain(text: str) -> str:
    if text != text.strip() or not text.isprintable():
        raise ValueError("begins or ends with a blank, or holds a control character or an unusual blank; remove it")
    return text


def _no_novelty(extra: dict[str, str]) -> dict[str, str]:
    if any("novel" in name.lower() for name in extra):
        raise ValueError("novelty is signed by a person, not reported: mfal review DIR accept ID --by NAME --novel yes")
    return extra


def _day(text: str) -> str:
    try:
        written_so = date.fromisoformat(text).isoformat() == text
    except ValueError:
        written_so = False
    if not written_so:
        raise ValueError("is no day; write it as YYYY-MM-DD")
    return text


Day = Annotated[str, AfterValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]
Text = Annotated[str, Field(min_length=1, max_length=_LONGEST_TEXT), AfterValidator(_plain)]
Number = Annotated[Decimal, WithJsonSchema({"type": "number"})]


class _Record(BaseModel):
    """Unknown keys are refused, types are not converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ResultRow(_Record):
    """One result: a value, or the reason of a failure.

    Attributes:
        id: of the query, as the batch states it.
        value: measured, in `unit`; None for a failure.
        unit: of value and uncertainty; one that converts exactly to the campaign's.
        uncertainty: standard deviation, positive; None where none is known.
        failure: why there is no value.
        price_eur: what was paid; None: the price in the batch.
        measured_on: day of the measurement.
        correction: why this replaces an earlier result of the same query; None for a first result.
        steps: whether each step of the recipe succeeded.
        extra: anything else worth keeping, as text.
    """

    id: Text
    value: Number | None = None
    unit: Text | None = None
    uncertainty: Number | None = None
    failure: Text | None = None
    price_eur: Number | None = None
    measured_on: Day | None = None
    correction: Text | None = None
    steps: dict[Text, bool] = Field(default_factory=dict)
    extra: Annotated[dict[Text, Annotated[str, Field(max_length=_LONGEST_TEXT), AfterValidator(_plain)]],
                     AfterValidator(_no_novelty)] = Field(default_factory=dict)  # fmt: skip


class ResultsFile(_Record):
    """A whole file of results."""

    schema_version: Literal["mfal.results/1"]
    results: list[ResultRow] = Field(min_length=1)


class BatchQuery(_Record):
    """What a laboratory is asked to measure.

    Attributes:
        id: to be stated with the result.
        candidate: name in the campaign.
        formula: composition; None where the candidate has none.
        atomic_fractions: of each element; they sum to one.
        fidelity: which line of the laboratory is asked.
        property: to be measured.
        unit: of the property.
        is_target: the campaign's question is about this measurement.
        price_eur: committed for it.
        expected_gain: before the price, in `expected_gain_unit`.
        expected_gain_unit: EUR where the campaign weighs gains against prices.
        probability: that the candidate is what the campaign looks for.
        predicted: mean of the target property.
        predicted_sd: its standard deviation.
        asked: time of the decision, ISO-8601.
        due: when the answer is expected, ISO-8601.
        recipe: how to make it, where the campaign file states a template.
        reason: why it was chosen, in words.
    """

    id: str
    candidate: str
    formula: str | None
    atomic_fractions: dict[str, float]
    fidelity: str
    property: str
    unit: str
    is_target: bool
    price_eur: float
    expected_gain: float
    expected_gain_unit: str
    probability: float
    predicted: float
    predicted_sd: float
    asked: str
    due: str
    recipe: str | None
    reason: str


class RefusedQuery(_Record):
    """A query that is not handed out because its composition is not admitted; it waits for a person."""

    id: str
    candidate: str
    reason: str


class Batch(_Record):
    """Everything that waits for the laboratory.

    Attributes:
        schema_version: of this document.
        batch: digest of the ids; the same batch has the same.
        campaign: its name.
        state: ``waiting`` for the laboratory, ``running`` where another process decides now, or ``stopped``.
        stopped: why the campaign ended.
        steps: to be reported for each fidelity.
        queries: to be measured.
        refused: not to be measured, with the reason.
    """

    schema_version: Literal["mfal.batch/1"]
    batch: str
    campaign: str
    state: Literal["waiting", "running", "stopped"]
    stopped: str | None
    steps: dict[str, list[str]]
    queries: list[BatchQuery]
    refused: list[RefusedQuery]

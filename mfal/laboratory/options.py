"""What a campaign file says of a laboratory: the options of a fidelity with ``oracle = "laboratory"``."""

import string

from pydantic import Field, ValidationError, model_validator

from mfal.campaign.section import Section
from mfal.errors import CampaignFileError
from mfal.fidelity import Fidelity, Ladder

ORACLE = "laboratory"
RECIPE_FIELDS = ("candidate", "formula", "atomic_percent")


class LaboratoryOptions(Section):
    """Table ``[fidelity.options]`` of a laboratory.

    Attributes:
        recipe: text for the people at the furnace, with the fields {candidate}, {formula} and {atomic_percent}.
        steps: names of the steps whose success is reported.
        lowest: values below it are refused as impossible, in the property's unit.
        highest: values above it are refused as impossible.
    """

    recipe: str | None = None
    steps: list[str] = Field(default_factory=list)
    lowest: float | None = None
    highest: float | None = None

    @model_validator(mode="after")
    def _proper(self) -> "LaboratoryOptions":
        if self.lowest is not None and self.highest is not None and self.lowest >= self.highest:
            raise ValueError(f"lowest = {self.lowest:g} must be under highest = {self.highest:g}")
        if any(not step.isidentifier() for step in self.steps) or len(set(self.steps)) < len(self.steps):
            raise ValueError(f"steps = {self.steps} must be different names of letters, digits and underscores")
        _check_recipe(self.recipe or "")
        return self


def attended(ladder: Ladder) -> list[Fidelity]:
    """Return the fidelities that a laboratory answers."""
    return [rung for rung in ladder.fidelities if rung.oracle == ORACLE]


def laboratory_options(fidelity: Fidelity) -> LaboratoryOptions:
    """Return the options of a fidelity that a laboratory answers.

    Raises:
        CampaignFileError: an option is unknown or has a wrong value.
    """
    try:
        return LaboratoryOptions.model_validate(dict(fidelity.options))
    except ValidationError as error:
        place, known = f"fidelity {fidelity.name!r}", ", ".join(LaboratoryOptions.model_fields)
        found = "; ".join(f"options.{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise CampaignFileError(f"{place}: {found}; known options: {known}") from error


def _check_recipe(recipe: str) -> None:
    try:
        named = [field for _, field, _, _ in string.Formatter().parse(recipe) if field is not None]
    except ValueError as error:
        raise ValueError(f"recipe cannot be read ({error}); write {{{{ and }}}} for braces") from error
    unknown = sorted(set(named) - set(RECIPE_FIELDS))
    if unknown:
        raise ValueError(f"recipe names {unknown}; the fields are {list(RECIPE_FIELDS)}")

"""What every table of the campaign file has in common."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A table: unknown keys are refused, types are not converted, numbers are finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

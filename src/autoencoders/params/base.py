"""What all sections share: their base class and the kinds of numbers in them."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(strict=True, ge=1)]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**31)]
Rate = Annotated[float, Field(gt=0, le=1)]
"""A learning rate."""
Widths = Annotated[list[Count], Field(min_length=1, max_length=8)]
"""Of layers: units or channels."""


class Section(BaseModel):
    """A section of `params.yaml`: unknown keys are refused, values never change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

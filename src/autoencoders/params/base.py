"""What all sections share: their base class and the kinds of numbers in them."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Number = Annotated[float, Field(strict=True)]  # an integer or a float; no text and no boolean
Count = Annotated[int, Field(strict=True, ge=1)]
BatchSize = Annotated[Count, Field(le=1_000_000)]  # images in a step
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**31)]
Rate = Annotated[Number, Field(gt=0, le=1)]  # a learning rate
PositiveInts = Annotated[list[Annotated[Count, Field(le=65_536)]], Field(min_length=1, max_length=8)]
"""Of layers: units or channels."""


class Section(BaseModel):
    """A section of `params.yaml`: unknown keys are refused, values never change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

"""The numbers of a gateway's log, bounded so that a column holds them and NaN is none."""

from typing import Annotated

from pydantic import Field

StatusCode = Annotated[int, Field(ge=100, le=999)]
Milliseconds = Annotated[int, Field(ge=0, le=10**12)] | Annotated[float, Field(ge=0, le=10**12)]

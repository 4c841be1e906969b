"""The base of every model read from a rule file: closed, strict, never changed after reading."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Words = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
OptionCode = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]+(-[A-Za-z0-9]+)*$")]
ProcedureCode = Annotated[str, StringConstraints(pattern=r"^[0-9A-Z][0-9]{3}[0-9A-Z]$")]
StateCode = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]


class Frozen(BaseModel):
    """A value of the catalogue. An unknown key or a wrong type is an error, not a guess."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def repeated(values: tuple[str, ...]) -> list[str]:
    """What stands in `values` more than once, each named once, in order."""
    return sorted({value for value in values if values.count(value) > 1})

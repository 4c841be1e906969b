"""Lists as a command prints them: a table for a spreadsheet, or one object a line."""

import csv
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, TextIO

import orjson

# What a spreadsheet would take for a formula: texts in a list may be others' words.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Format(StrEnum):
    """How a list is written."""

    CSV = "csv"
    JSONL = "jsonl"


class Listing:
    """A list that is written line by line; in CSV its columns stand above it."""

    def __init__(self, out: TextIO, shape: Format, columns: Sequence[str]) -> None:
        self._out = out
        self._columns = columns
        self._table = csv.writer(out, lineterminator="\n") if shape is Format.CSV else None
        if self._table is not None:
            self._table.writerow(columns)

    def add(self, row: Mapping[str, Any]) -> None:
        """Write a row. In JSON it may hold more than the columns; in CSV a list is one text."""
        if self._table is None:
            self._out.write(orjson.dumps(row, default=str).decode() + "\n")
        else:
            self._table.writerow([_cell(row.get(name)) for name in self._columns])


def _cell(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, (list, tuple)):
        value = " ".join(value)
    risky = isinstance(value, str) and value.startswith(_FORMULA)
    return f"'{value}" if risky else value

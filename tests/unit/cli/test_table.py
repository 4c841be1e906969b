"""Lists as commands print them."""

import io
from collections.abc import Mapping, Sequence

import pytest

from wiser_fhir.commands.table import Format, Listing

ROW = {"name": "Clinic", "numbers": ("1", "2"), "more": ["a", "b"]}


def printed(shape: Format, row: Mapping[str, object]) -> str:
    out = io.StringIO()
    Listing(out, shape, ("name", "numbers")).add(row)
    return out.getvalue()


def test_in_a_table_a_list_is_one_text_and_in_json_a_list() -> None:
    assert printed(Format.CSV, ROW) == "name,numbers\nClinic,1 2\n"
    assert printed(Format.JSONL, ROW) == (
        '{"name":"Clinic","numbers":["1","2"],"more":["a","b"]}\n'
    )


@pytest.mark.parametrize("numbers", ["=1+1", ["=1+1"], ("=1+1", "2")])
def test_no_cell_is_a_formula_nor_is_a_list_s(numbers: Sequence[str]) -> None:
    row = printed(Format.CSV, {"name": "+x", "numbers": numbers}).splitlines()[1]
    assert row.startswith("'+x,'=1+1")


def test_an_empty_list_is_an_empty_cell() -> None:
    assert printed(Format.CSV, {"name": "Clinic", "numbers": ()}).endswith("\nClinic,\n")

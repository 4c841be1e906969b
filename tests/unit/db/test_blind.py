"""The index of members: what it tells, and what it does not."""

import re
from collections.abc import Callable
from typing import cast

import pytest
from sqlalchemy import Column, MetaData, Table, select
from sqlalchemy.dialects import postgresql

from wiser_fhir.db.blind import PATTERN, BlindIndex, Indexed, MemberIndex, NoIndex, index_of
from wiser_fhir.db.engine import create_engine

NUMBER = "1EG4TE5MK73"
SECRET = bytes(range(32))
_TABLE = Table("t", MetaData(), Column("mbi", Indexed))


def index(secret: bytes = SECRET) -> BlindIndex:
    return BlindIndex(secret)


@pytest.mark.parametrize("written", [NUMBER, "1eg4-te5-mk73", " 1EG4-TE5-MK73 "])
def test_a_number_has_one_index_however_it_is_written(written: str) -> None:
    assert index().of(written) == index().of(NUMBER)


def test_it_is_what_it_was_yesterday() -> None:
    assert index().of(NUMBER) == MemberIndex("1.IBWRX6Traz0eS5W9kdO2OA")


def test_another_number_or_another_key_has_another() -> None:
    others = {index().of("1EG4TE5MK74"), index(bytes(32)).of(NUMBER)}
    assert index().of(NUMBER) not in others
    assert len(others) == 2


def test_it_looks_like_no_number_and_is_short() -> None:
    assert re.fullmatch(PATTERN, index().of(NUMBER * 10_000).value)
    assert NUMBER not in index().of(NUMBER).value


def test_who_tells_no_number_has_none() -> None:
    assert index().of_told(None) is None
    assert index().of_told(NUMBER) == index().of(NUMBER)


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        index(bytes(31))


def test_a_column_is_asked_by_an_index_alone() -> None:
    said = select(_TABLE).where(_TABLE.c.mbi == index().of(NUMBER))
    compiled = said.compile(dialect=postgresql.dialect())  # type: ignore[no-untyped-call]
    bind = cast(Callable[[object], object], compiled._bind_processors["mbi_1"])
    assert bind(compiled.params["mbi_1"]) == index().of(NUMBER).value
    with pytest.raises(TypeError, match="index alone"):
        bind(NUMBER)


def test_what_was_stored_comes_back_as_an_index() -> None:
    column, dialect = Indexed(), postgresql.dialect()  # type: ignore[no-untyped-call]
    assert column.process_result_value("1.x", dialect) == MemberIndex("1.x")
    assert column.process_result_value(None, dialect) is None
    assert column.process_bind_param(None, dialect) is None
    assert column.python_type is MemberIndex


async def test_an_engine_without_one_finds_nobody() -> None:
    engine = create_engine("postgresql://nobody@localhost/none")
    with pytest.raises(NoIndex):
        index_of(engine)
    await engine.dispose()


async def test_an_engine_has_the_one_it_was_made_with() -> None:
    mine = index()
    engine = create_engine("postgresql://nobody@localhost/none", index=mine)
    assert index_of(engine) is mine
    await engine.dispose()

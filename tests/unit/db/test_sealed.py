"""Sealed columns: each value opens in its own column of its own row, and nowhere else."""

from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from wiser_fhir.db.envelope import CannotOpen, DataKey
from wiser_fhir.db.sealed import CASE, CONVERSATION, DETERMINATION, SEALED, SealedColumns
from wiser_fhir.db.tables import metadata

KEY = DataKey(uuid4(), 1, {1: AESGCM(bytes(32))})
TALK = {"id": 7, "contact": "Dr. B, 555 0100", "outcome": None, "state": "asked"}


def test_a_row_opens_as_it_was_sealed() -> None:
    assert CONVERSATION.open(KEY, CONVERSATION.seal(KEY, TALK)) == TALK


def test_only_what_is_to_be_is_sealed() -> None:
    sealed = CONVERSATION.seal(KEY, TALK)
    assert b"555" not in sealed["contact"]
    assert (sealed["outcome"], sealed["state"]) == (None, "asked")


def test_a_row_may_have_some_of_the_columns() -> None:
    assert CONVERSATION.seal(KEY, {"id": 7}) == {"id": 7}
    assert CONVERSATION.open(KEY, {"id": 7}) == {"id": 7}


@pytest.mark.parametrize("changes", [{"id": 8}, {"outcome": "contact"}])
def test_it_opens_in_no_other_row_and_no_other_column(changes: dict[str, object]) -> None:
    sealed = CONVERSATION.seal(KEY, TALK)
    moved = {name: sealed.get(str(where), where) for name, where in changes.items()}
    with pytest.raises(CannotOpen):
        CONVERSATION.open(KEY, sealed | moved)


def test_it_opens_for_no_other_organization() -> None:
    sealed = CONVERSATION.seal(KEY, TALK)
    with pytest.raises(CannotOpen):
        CONVERSATION.open(DataKey(uuid4(), 1, KEY.ciphers), sealed)


def test_columns_of_another_table_may_have_a_name_of_their_own() -> None:
    row = {"case_id": 1, "sequence": 2, "revision": 3}
    sealed = DETERMINATION.seal(KEY, row | {"rationale": "Not documented.", "answer": {"a": [1]}})
    beside = row | {f"decision_{name}": sealed[name] for name in ("rationale", "answer")}
    opened = DETERMINATION.open(KEY, beside, "decision_")
    assert opened["decision_rationale"] == "Not documented."
    assert opened["decision_answer"] == {"a": [1]}


def test_equal_words_are_sealed_differently() -> None:
    assert CASE.seal(KEY, {"id": 1, "answer": {}}) != CASE.seal(KEY, {"id": 1, "answer": {}})


@pytest.mark.parametrize("kind", SEALED, ids=[each.table for each in SEALED])
def test_the_tables_have_these_columns_and_keys(kind: SealedColumns) -> None:
    table = metadata.tables[kind.table]
    assert {*kind.columns, *kind.key} <= set(table.c.keys())
    assert [column.name for column in table.primary_key][1:] == list(kind.key)

"""Which columns say something about a person and are sealed, and their values as JSON.

Bodies of messages and attachments are sealed too, but as bytes: see `db.bodies`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from wiser_fhir.db.envelope import DataKey, about


@dataclass(frozen=True, slots=True)
class SealedColumns:
    """The sealed columns of a table. `key` names its rows beside the organization."""

    table: str
    key: tuple[str, ...]
    columns: tuple[str, ...]

    def seal(self, key: DataKey, row: Mapping[Any, Any]) -> dict[str, Any]:
        """A row as it is written. It has its key, and of the sealed columns any; None stays."""
        named = self._named(row)
        sealed = {
            column: key.seal(_plain(row[column]), about(self.table, column, *named))
            for column in self.columns
            if row.get(column) is not None
        }
        return {**row, **sealed}

    def open(self, key: DataKey, row: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
        """A row that was read, under its key's own names; sealed columns begin with `prefix`.

        Raises CannotOpen for what was not sealed for this row.
        """
        named = self._named(row)
        opened = {
            label: orjson.loads(key.open(row[label], about(self.table, column, *named)))
            for column in self.columns
            if row.get(label := prefix + column) is not None
        }
        return {**row, **opened}

    def _named(self, row: Mapping[Any, Any]) -> list[Any]:
        return [row[name] for name in self.key]


def _plain(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


CASE: Final = SealedColumns("prior_auth_case", ("id",), ("sealed_member", "assessment", "answer"))
DETERMINATION: Final = SealedColumns(
    "determination",
    ("case_id", "sequence", "revision"),
    ("rationale", "resubmission_steps", "findings", "answer"),
)
INFORMATION_REQUEST: Final = SealedColumns("information_request", ("id",), ("wanted", "note"))
CONVERSATION: Final = SealedColumns("peer_to_peer", ("id",), ("contact", "outcome"))
EVENT: Final = SealedColumns("case_event", ("id",), ("text",))
ASSERTION: Final = SealedColumns("coverage_assertion", ("id",), ("told",))
DELIVERY: Final = SealedColumns("attachment_delivery", ("id",), ("sealed_member",))
CLAIM: Final = SealedColumns("claim", ("id",), ("sealed_member",))
REVIEW: Final = SealedColumns("prepayment_review", ("id",), ("rationale",))

SEALED: Final = (
    *(CASE, DETERMINATION, INFORMATION_REQUEST, CONVERSATION, EVENT),
    *(ASSERTION, DELIVERY, CLAIM, REVIEW),
)

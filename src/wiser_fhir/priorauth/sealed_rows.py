"""What rows say about a beneficiary, as it is sealed into them and opened again."""

from collections.abc import Mapping
from datetime import date
from typing import Any
from uuid import UUID

from wiser_fhir.db.blind import BlindIndex
from wiser_fhir.db.envelope import DataKey
from wiser_fhir.db.sealed import CASE, CLAIM, DELIVERY, DETERMINATION
from wiser_fhir.priorauth.models import Beneficiary
from wiser_fhir.priorauth.rows import SubmissionWrite


def submission_parts(write: SubmissionWrite, key: DataKey, index: BlindIndex) -> dict[str, Any]:
    """The parameters of `sql/submit.sql` that a submission has sealed, or as an index."""
    member = index.of_told(write.beneficiary.mbi)
    told = {"id": write.case_id, "assessment": write.assessment}
    case = CASE.seal(key, told | {"sealed_member": member_value(write.beneficiary)})
    determinations = (
        {"case_id": write.case_id, "sequence": n, "revision": 1, "findings": write.findings}
        for n in write.decided_sequence
    )
    return {
        "mbi": None if member is None else member.value,
        "sealed_member": case["sealed_member"],
        "assessment": case["assessment"],
        "decided_findings": [DETERMINATION.seal(key, row)["findings"] for row in determinations],
    }


def member_value(person: Beneficiary) -> dict[str, str | None]:
    """Who a case is about, as JSON."""
    born = person.birth_date
    return {
        "mbi": person.mbi,
        "family": person.family,
        "given": person.given,
        "birth_date": None if born is None else born.isoformat(),
    }


def beneficiary_from(row: Mapping[Any, Any], key: DataKey) -> Beneficiary:
    """Who a case is about, from its row. Raises CannotOpen."""
    told = CASE.open(key, {name: row[name] for name in ("id", "sealed_member")})["sealed_member"]
    born = told["birth_date"]
    return Beneficiary(
        mbi=told["mbi"],
        family=told["family"],
        given=told["given"],
        birth_date=None if born is None else date.fromisoformat(born),
    )


def number_of_delivery(row: Mapping[Any, Any], key: DataKey) -> str:
    """Whose attachments came, from a delivery's `id` and `sealed_member`. Raises CannotOpen."""
    number: str = DELIVERY.open(key, row)["sealed_member"]
    return number


def number_of_claim(claim_id: UUID, sealed: bytes, key: DataKey) -> str:
    """Whose claim it is. Raises CannotOpen."""
    number: str = CLAIM.open(key, {"id": claim_id, "sealed_member": sealed})["sealed_member"]
    return number

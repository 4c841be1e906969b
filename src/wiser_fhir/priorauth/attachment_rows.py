"""Deliveries as they are written."""

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from wiser_fhir.priorauth.attached import Delivery, fingerprint, identity
from wiser_fhir.priorauth.numbers import time_ordered_uuid
from wiser_fhir.priorauth.rows import identifier_key
from wiser_fhir.priorauth.service import Caller


@dataclass(frozen=True, slots=True)
class PreparedDelivery:
    """A delivery as it is written, but for sealing: its row, and those of what it brings."""

    delivery: dict[str, Any]
    attachments: list[dict[str, Any]]

    @property
    def identities(self) -> list[bytes]:
        """Of its attachments."""
        return [row["identity"] for row in self.attachments]


def prepared(caller: Caller, delivery: Delivery, line: str, at: datetime) -> PreparedDelivery:
    """The rows of a delivery that came at an instant. Pure, and some work where it is large."""
    key = {"organization_id": caller.organization_id}
    delivery_id = time_ordered_uuid()
    system = delivery.tracking.system
    row = {
        "id": delivery_id,
        "fingerprint": fingerprint(delivery),
        "client_id": caller.principal.client_id,
        "line": line,
        "received_at": at,
        "attach_to": delivery.attach_to,
        "tracking_system": identifier_key(system) if system else None,
        "tracking_value": identifier_key(delivery.tracking.value),
        "reference": identifier_key(delivery.reference) if delivery.reference else None,
        "sealed_member": delivery.member,
        "named": {
            name: {"system": each.system, "value": each.value}
            for name, each in delivery.named.items()
        },
        "service_date": delivery.service_date,
        "final": delivery.final,
    }
    attachments = {
        identity(delivery, each): {
            "id": time_ordered_uuid(),
            "delivery_id": delivery_id,
            "identity": identity(delivery, each),
            "lines": list(each.lines),
            "code_system": each.code.system if each.code else None,
            "code": each.code.code if each.code else None,
            "kind": each.kind,
            "resource_type": each.resource_type,
            "questionnaire": each.questionnaire,
            "response_status": each.response_status,
            "media_type": each.media_type,
            "size": len(each.content),
            "sha256": sha256(each.content).digest(),
            "resource": each.resource or None,
            "content": each.content,
        }
        for each in delivery.attachments
    }
    return PreparedDelivery(key | row, [key | each for each in attachments.values()])

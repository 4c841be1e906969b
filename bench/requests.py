"""The Bundles that are sent, and how each becomes a new one."""

import os
import random
import re
import tarfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from tests.bundles import affirming_answers, inquiry_bundle, request_bundle, valid_npi

IDENTIFIER_LENGTH = 25
_IDENTIFIER = "wiser-bench-identifier-00"
MEMBER = "1EG4TE5MK73"
_MARKS = {_IDENTIFIER: "identifier", MEMBER: "member"}
_NOTE_BYTES = 3_600

ROOT = Path(__file__).resolve().parent.parent
OFFICIAL_PACKAGE = "hl7.fhir.us.davinci-pas#2.2.1.tgz"
OFFICIAL_EXAMPLE = "Bundle-ReferralAuthorizationBundleExample"

assert len(_IDENTIFIER) == IDENTIFIER_LENGTH  # noqa: S101 (the length of a body is sent ahead)


@dataclass(frozen=True, slots=True)
class Template:
    """A body in parts; between two of them goes what the slot names.

    `identifier` is one of a Bundle, `serial` twelve digits never used before, `member` an MBI.
    """

    parts: tuple[bytes, ...]
    slots: tuple[str, ...]

    @classmethod
    def of(cls, bundle: dict[str, Any]) -> "Template":
        """The compact JSON of a Bundle, cut where its identifier and its member's number stand."""
        pieces = re.split(f"({'|'.join(_MARKS)})".encode(), orjson.dumps(bundle))
        slots = tuple(_MARKS[mark.decode()] for mark in pieces[1::2])
        return cls(tuple(pieces[::2]), slots)

    @property
    def length(self) -> int:
        """Bytes of a body."""
        return len(self.body(0))

    def body(self, number: int, member: str = MEMBER) -> bytes:
        """The body of one request, for what is not sent by wrk."""
        values = {
            "identifier": f"bench-one-{number % 10**15:015d}".encode(),
            "serial": f"{number % 10**12:012d}".encode(),
            "member": member.encode(),
        }
        filled = [values[slot] for slot in self.slots] + [b""]
        return b"".join(x for pair in zip(self.parts, filled, strict=True) for x in pair)


def submission(service: str = "epidural-steroid-injection", **fields: Any) -> Template:
    """An epidural injection with add-on, ordering provider, form and note; about 24 KB, affirmed.

    `fields` are those of the builder and make it another.
    """
    now = datetime.now(UTC)
    asked: dict[str, Any] = {
        "identifier": _IDENTIFIER,
        "mbi": MEMBER,
        "created": now - timedelta(hours=1),
        "service_date": (now + timedelta(days=21)).date(),
        "service": service,
        "answers": affirming_answers(service),
        "codes": ("64483", "64484"),
        "diagnoses": ("M54.16", "M51.16"),
        "ordering_npi": valid_npi("199999040"),
        "evidence_text": _note(),
    }
    return Template.of(request_bundle("2.2", **{**asked, **fields}))


def pended() -> Template:
    """The same without the form: no criterion is answered, so a clinician decides."""
    return submission(answers=None)


def dismissed() -> Template:
    """A request for a beneficiary of Medicare Advantage."""
    return submission(payer="medicare-advantage")


def inquiry() -> Template:
    """All that is known of a member."""
    return Template.of(inquiry_bundle("2.2", identifier=_IDENTIFIER, mbi=MEMBER, any_service=True))


def member_number(n: int) -> str:
    """The MBI that load.lua gives to member `n`."""
    letters = "ACDEFGHJKMNPQRTUVWXY"
    x, y, z = (letters[n // step % 20] for step in (10_000, 200_000, 4_000_000))
    digits = f"{n % 10_000:04d}"
    return f"1{x}G{digits[0]}{y}5{digits[1]}{z}K{digits[2:]}"


def official_example() -> bytes | None:
    """PAS 2.2.1's own referral request, 24 KB, byte for byte; None without the packages."""
    folder = Path(os.environ.get("WISER_FHIR_PACKAGES") or ROOT.parent / "shared" / "igs")
    package = folder / OFFICIAL_PACKAGE
    if not package.is_file():
        return None
    with tarfile.open(package) as archive:
        member = archive.extractfile(f"package/example/{OFFICIAL_EXAMPLE}.json")
        return member.read() if member is not None else None


def _note() -> str:
    """Made-up text that compresses about as well as a clinician's."""
    words = ("pain", "left", "right", "leg", "weeks", "therapy", "exam", "reflex", "strength")
    dice = random.Random(1)  # noqa: S311 (the same note in every run)
    drawn = (dice.choice([*words, str(dice.randrange(300))]) for _ in range(_NOTE_BYTES))
    return " ".join(drawn)[:_NOTE_BYTES]

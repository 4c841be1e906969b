"""What is attached, as the core keeps it: files by their bytes, other resources as FHIR JSON.

Nothing is fetched, whatever address a sender gives, and nothing is unpacked.

Source: CDex 2.1.0, submit-attachment (a DocumentReference's data inline or by address: one of them
has to be taken; Binary and other resources may be).
"""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha1
from typing import Any

from wiser_fhir import exact
from wiser_fhir.errors import Problem
from wiser_fhir.fhir.elements import Json, codings
from wiser_fhir.priorauth.attached import Attached, AttachmentKind
from wiser_fhir.priorauth.file_types import FHIR_JSON, declared_type, kinds_of

MOST_BYTES = 20 * 1024 * 1024
TOO_LARGE = f"A file is no larger than {MOST_BYTES // 1024 // 1024} MiB."
_TAKEN = (
    "PDF, PNG, JPEG, TIFF, XML (also CDA), UTF-8 text and FHIR JSON are taken, each under its own"
    " media type."
)


@dataclass(slots=True)
class Reading:
    """What was read of attachments so far, and what is wrong with them."""

    files: list[Attached] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    too_large: list[Problem] = field(default_factory=list)

    def refuse(self, code: str, text: str, where: str) -> None:
        """Note a problem."""
        self.problems.append(Problem("error", code, text, where))


def without_data(value: Any) -> Any:
    """The same JSON with a few bytes in place of every file in it, for those who look at the rest:
    a file's own text is looked at when it is decoded.
    """
    if isinstance(value, list):
        return [without_data(each) for each in value]
    if not isinstance(value, dict):
        return value
    plain = {key: without_data(each) for key, each in value.items()}
    if _holds_file(value):
        plain["data"] = "AAAA"
    return plain


def read_content(reading: Reading, content: Json, where: str) -> None:
    """Add what a Content parameter holds. `where` is its FHIRPath."""
    match content["resourceType"]:
        case "DocumentReference":
            _read_document(reading, content, where)
        case "Binary":
            _read_file(reading, content, content, where)
        case _:
            _read_resource(reading, content, where)


def _read_document(reading: Reading, document: Json, where: str) -> None:
    """Each content of a DocumentReference is a file; what is said of it is kept beside it."""
    pieces = [content["attachment"] for content in document["content"]]
    rest = {
        **document,
        "content": [{**c, "attachment": _bare(c["attachment"])} for c in document["content"]],
    }
    if next(files_in(rest), None) is not None:
        reading.refuse("not-supported", "A file stands in content.attachment.", where)
    for position, piece in enumerate(pieces):
        _read_file(reading, piece, rest, f"{where}.content[{position}].attachment")


def _read_file(reading: Reading, piece: Json, around: Json, where: str) -> None:
    """`piece` is an Attachment or a Binary, which both have `contentType` and `data`."""
    content = _decoded(reading, piece, where)
    if content is None:
        return
    named = declared_type(piece.get("contentType") or "")
    if named is None:
        reading.refuse("not-supported", _TAKEN, f"{where}.contentType")
    elif named not in kinds_of(content):
        text = f"The file is not what its media type says. {_TAKEN}"
        reading.refuse("value", text, f"{where}.contentType")
    elif _agrees(reading, piece, content, where):
        resource = exact.dumps(_bare(around))
        kind, resource_type = AttachmentKind.FILE, around["resourceType"]
        reading.files.append(Attached(kind, resource_type, named, content, resource))


def _decoded(reading: Reading, piece: Json, where: str) -> bytes | None:
    """The bytes of a file; None with a problem noted where there are none to be had."""
    data: str | None = piece.get("data")
    if data is None:
        if "url" in piece:
            text = "Send the file itself, in data: nothing is fetched from an address."
            reading.refuse("not-supported", text, f"{where}.url")
        else:
            reading.refuse("required", "The file itself is needed, in data.", f"{where}.data")
        return None
    try:
        content = base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        reading.refuse("value", "The file is not in base64.", f"{where}.data")
        return None
    if len(content) > MOST_BYTES:
        reading.too_large.append(Problem("error", "too-long", TOO_LARGE, f"{where}.data"))
        return None
    if not content:
        reading.refuse("value", "The file is empty.", f"{where}.data")
        return None
    return content


def _agrees(reading: Reading, piece: Json, content: bytes, where: str) -> bool:
    """Whether size and hash, where they are told, are those of the bytes that came."""
    size, told = piece.get("size"), piece.get("hash")
    if size is not None and size != len(content):
        reading.refuse("value", "The file is not as large as size says.", f"{where}.size")
        return False
    # FHIR R4 defines this hash as SHA-1; it guards against accidents only.
    if told is not None and told != _sha1(content):
        reading.refuse("value", "The file is not the one that hash is of.", f"{where}.hash")
        return False
    return True


def _sha1(content: bytes) -> str:
    return base64.b64encode(sha1(content, usedforsecurity=False).digest()).decode()


def _read_resource(reading: Reading, resource: Json, where: str) -> None:
    """A resource is its own bytes. A file hidden in one would pass by every check of files."""
    if next(files_in(resource), None) is not None:
        text = "Send a file as a DocumentReference or a Binary of its own."
        reading.refuse("not-supported", text, where)
        return
    responses = [each for each in _with_entries(resource) if _is_response(each)]
    kind = AttachmentKind.QUESTIONNAIRE_RESPONSE if responses else AttachmentKind.RESOURCE
    answers = next((each for each in responses if _answered_form(each)), None)
    content = exact.dumps(resource)
    if len(content) > MOST_BYTES:
        reading.too_large.append(Problem("error", "too-long", TOO_LARGE, where))
        return
    reading.files.append(
        Attached(
            kind,
            resource["resourceType"],
            FHIR_JSON,
            content,
            questionnaire=_answered_form(answers) if answers else None,
            response_status=answers.get("status") if answers else None,
        )
    )


def _with_entries(resource: Json) -> Iterator[Json]:
    yield resource
    if resource["resourceType"] == "Bundle":
        for entry in resource.get("entry", ()):
            if "resource" in entry:
                yield from _with_entries(entry["resource"])


def _is_response(resource: Json) -> bool:
    return bool(resource["resourceType"] == "QuestionnaireResponse")


def _answered_form(response: Json) -> str | None:
    """The form a response answers; an adaptive one says which it was made from.

    Source: DTR 2.2.0 §spec-25 and §spec-26.
    """
    named: str = response.get("questionnaire", "")
    if not named.startswith("#"):
        return named or None
    inside = [c for c in response.get("contained", ()) if c.get("id") == named[1:]]
    return next((url for each in inside for url in each.get("derivedFrom", ())), None)


def code_of(concept: Json | None) -> tuple[str, str] | None:
    """System and code of a CodeableConcept, LOINC before others."""
    found = sorted(codings(concept), key=lambda c: c.get("system") != "http://loinc.org")
    return (found[0].get("system", ""), found[0]["code"]) if found else None


def _bare(piece: Json) -> Json:
    return {key: value for key, value in piece.items() if key != "data"}


def files_in(value: Any) -> Iterator[Json]:
    """Every Attachment or Binary with its bytes in there, at any depth."""
    if isinstance(value, dict):
        if _holds_file(value):
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from files_in(each)


def _holds_file(value: Json) -> bool:
    """Whether this is an Attachment or a Binary with its bytes, not a sample or a signature."""
    is_file = "contentType" in value or value.get("resourceType") == "Binary"
    return is_file and isinstance(value.get("data"), str)

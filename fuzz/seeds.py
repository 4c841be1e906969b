"""Where the fuzzing of each reader begins: sound input of each kind."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import orjson

from wiser_fhir.sandbox import ehr

_EXAMPLES = Path("examples")


def seeds(name: str) -> Iterator[bytes]:
    """Some sound input of a target, small enough to be worth changing byte by byte."""
    if name in {"json_body", "bundle"}:
        yield b'{"resourceType":"Bundle","type":"collection","entry":[{"fullUrl":"urn:uuid:1"}]}'
        yield b'\xef\xbb\xbf{"a":{"b":[1,2.5,true,null,"\\u00e9"]}}'
    if name == "bundle":
        request = orjson.loads((_EXAMPLES / "2.2/epidural-affirmed.json").read_bytes())
        yield orjson.dumps({**request, "entry": request["entry"][:2]})
    if name in {"jwt", "jwks"}:
        key = ehr.new_key()
        if name == "jwt":
            token = ehr.cds_token(key, "https://a.example", "https://b.example", datetime.now(UTC))
            yield token.encode()
            yield b'{"alg":"ES384","kid":"1"}\x00{"iss":"a","aud":["b"],"exp":1,"jti":"c"}'
        else:
            yield orjson.dumps(ehr.public_keys(key))
    if name == "url":
        yield b"https://ehr.example/fhir/Patient/1"
        yield b"httPs://EHR.example/fhir/Patient/1"
        yield b"https://user@ehr.example:8443/fhir/../x?y=z#f"
    if name == "scope":
        yield b"system/Claim.cu system/ClaimResponse.rs"
        yield b"system/questionnaire.read"

"""Whatever is posted: one of the promised answers, and never a failure of ours."""

import copy
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.e2e.serving import sandbox, serving, token
from wiser_fhir.db.embedded import Urls
from wiser_fhir.resources import resource_path

PROMISED = {200, 400, 401, 403, 404, 406, 409, 413, 415, 422}
LEAST_SENT = 60
WIDE = {"WISER_CALLER_RATE": "100000", "WISER_STRANGER_RATE": "100000"}
QUICK = settings(
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
    database=None,
)


@pytest.fixture
def api(empty_database: Urls, tmp_path: Path) -> Iterator[httpx.Client]:
    """A client with a token of a running sandbox."""
    environment = sandbox(empty_database, tmp_path) | WIDE
    with serving(environment) as server:
        headers = {"Authorization": f"Bearer {token(environment)}"}
        with httpx.Client(base_url=server.url, headers=headers, timeout=30) as client:
            yield client


def test_the_described_operations_keep_their_promises(api: httpx.Client) -> None:
    """schemathesis on our own OpenAPI: what it makes up, and what we describe of the answers.

    A few of each operation; `make fuzz` goes on from other seeds for as long as one likes.
    """
    schema = schemathesis.openapi.from_url(str(api.base_url.join("/openapi.json")))
    operations: list[Any] = [found.ok() for found in schema.get_all_operations()]  # type: ignore[union-attr]
    assert len(operations) >= 10
    for operation in operations:

        @settings(QUICK, max_examples=12)
        @given(case=operation.as_strategy())
        def _keeps_its_promises(case: Any) -> None:
            case.call_and_validate(
                headers={"Authorization": api.headers["Authorization"]},
                excluded_checks=[schemathesis.checks.positive_data_acceptance],
            )

        _keeps_its_promises()


_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(
        ["", " ", "\u0000", "\ud7ff", "0000-00-00", "2028-02-29", "urn:uuid:", "#", "$"]
    )
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
_CHANGE = st.tuples(
    st.sampled_from(["drop", "replace", "repeat", "rename"]), st.integers(0), _VALUES
)
_CHANGES: st.SearchStrategy[list[Any]] = st.lists(_CHANGE, min_size=1, max_size=1) | st.lists(
    _CHANGE, min_size=1, max_size=3
)


def _places(node: Any) -> list[tuple[Any, Any]]:
    """Every place in a document, as its holder and its key or index."""
    keys = list(node) if isinstance(node, dict) else range(len(node))
    found: list[tuple[Any, Any]] = []
    for key in keys:
        found.append((node, key))
        if isinstance(node[key], dict | list):
            found += _places(node[key])
    return found


def _changed(document: Any, changes: list[tuple[str, int, Any]]) -> Any:
    document = copy.deepcopy(document)
    for kind, where, value in changes:
        places = _places(document)
        if not places:
            break
        holder, key = places[where % len(places)]
        match kind:
            case "drop":
                del holder[key]
            case "replace":
                holder[key] = value
            case "repeat" if isinstance(holder, list):
                holder.append(copy.deepcopy(holder[key]))
            case "rename" if isinstance(holder, dict):
                holder[f"{key}x"] = holder.pop(key)
    return document


@pytest.mark.parametrize(
    ("path", "example"),
    [
        ("/fhir/Claim/$submit", "2.2/epidural-affirmed.json"),
        ("/fhir/Claim/$submit", "2.2/epidural-criterion-unmet.json"),
        ("/v2.0/fhir/Claim/$submit", "2.0/epidural-affirmed.json"),
        ("/fhir/Claim/$inquire", "2.2/inquiry-by-member.json"),
        ("/v2.0/fhir/Claim/$inquire", "2.0/inquiry-by-reference.json"),
    ],
)
def test_a_changed_request_gets_a_promised_answer(
    api: httpx.Client, path: str, example: str
) -> None:
    document = orjson.loads((resource_path("examples") / example).read_bytes())
    statuses: Counter[int] = Counter()

    def answered(changes: list[tuple[str, int, Any]]) -> int | None:
        fresh = document | {"identifier": document["identifier"] | {"value": str(uuid4())}}
        try:
            body = orjson.dumps(_changed(fresh, changes))
        except TypeError:
            return None  # not JSON at all: an integer of more than 64 bits
        response = api.post(path, content=body, headers={"Content-Type": "application/fhir+json"})
        assert response.status_code in PROMISED, response.text[:300]
        kind = response.json()["resourceType"]
        if response.status_code == httpx.codes.OK:
            assert kind in {"Bundle", "Parameters"}
        else:
            assert kind == "OperationOutcome"
            assert response.json()["issue"]
        assert "Traceback" not in response.text
        return response.status_code

    @settings(QUICK, max_examples=75)
    @given(changes=_CHANGES)
    def gets_a_promised_answer(changes: list[tuple[str, int, Any]]) -> None:
        status = answered(changes)
        if status is None:
            return
        statuses[status] += 1
        # Whatever came before it, the unchanged request is answered.
        if statuses.total() % 3 == 0:
            assert answered([]) == httpx.codes.OK

    gets_a_promised_answer()
    assert statuses.total() >= LEAST_SENT, statuses
    assert statuses[200], statuses
    assert statuses[400], statuses


def test_noise_is_refused_cleanly(api: httpx.Client) -> None:
    noise = random.Random(20261122)  # noqa: S311
    for length in (0, 1, 2, 100, 10_000):
        body = noise.randbytes(length)
        response = api.post(
            "/fhir/Claim/$submit", content=body, headers={"Content-Type": "application/json"}
        )
        assert response.status_code == httpx.codes.BAD_REQUEST
        assert response.json()["resourceType"] == "OperationOutcome"

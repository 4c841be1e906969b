"""The names and attributes of cookies, by how browsers reach us."""

from starlette.requests import Request
from starlette.responses import Response

from wiser_fhir.web.session_cookie import Cookies

ID = "A" * 43


def given(origin: str) -> str:
    answer = Response()
    Cookies(origin).give(answer, "session", ID)
    return answer.headers["set-cookie"]


def test_over_tls_a_cookie_is_this_hosts_alone() -> None:
    assert given("https://review.example") == (
        f"__Host-wiser={ID}; HttpOnly; Path=/; SameSite=lax; Secure"
    )


def test_over_http_browsers_would_keep_neither_the_prefix_nor_secure() -> None:
    assert given("http://127.0.0.1:8000") == f"wiser={ID}; HttpOnly; Path=/; SameSite=lax"


def test_what_we_never_gave_is_not_read() -> None:
    cookies = Cookies("https://review.example")
    for value, read in ((ID, ID), (ID[1:], None), (f"{ID}A", None), ("A" * 42 + "!", None)):
        header = f"__Host-wiser={value}".encode()
        request = Request({"type": "http", "headers": [(b"cookie", header)]})
        assert cookies.read(request, "session") == read
    plain = Request({"type": "http", "headers": [(b"cookie", f"wiser={ID}".encode())]})
    assert cookies.read(plain, "session") is None

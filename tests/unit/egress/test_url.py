import pytest
from hypothesis import given
from hypothesis import strategies as st

from wiser_fhir.egress.url import is_within, read_origin, read_url

BASE = "https://ehr.example/fhir"

HOSTILE = [
    # userinfo, and what some readers take for its end
    "https://ehr.example@evil.example/fhir",
    "https://ehr.example:443@evil.example/fhir",
    "https://user:secret@ehr.example/fhir",
    "https://@ehr.example/fhir",
    "https://ehr.example%40evil.example/fhir",
    # backslashes, controls, blanks, fragments
    "https://ehr.example\\@evil.example/fhir",
    "https:\\\\ehr.example\\fhir",
    "https://ehr.example/fhir\\..\\admin",
    "https://ehr.example\t/fhir",
    "https://ehr.example/fhir/\r\nHost: evil.example",
    "https://ehr.example/fhir/Patient\x00",
    "https://ehr.example/fhir\n",
    " https://ehr.example/fhir",
    "https://ehr.example/fhir Patient",
    "https://ehr.example/fhir?a=\x7f",
    "https://ehr.example/fhir#",
    "https://ehr.example/fhir#@evil.example",
    "https://ehr.example#.evil.example/fhir",
    # IPv4 in octal, in hex, short, as one number, too large, too long
    "https://0177.0.0.1/",
    "https://0x7f.0.0.1/",
    "https://0x7f000001/",
    "https://2130706433/",
    "https://127.1/",
    "https://127.0.1/",
    "https://0/",
    "https://127.0.0.01/",
    "https://256.1.1.1/",
    "https://1.2.3.4.5/",
    "https://ehr.0x7f/",
    "https://ehr.example.1/",
    # IPv6 with a zone, without brackets, broken
    "https://[fe80::1%25eth0]/",
    "https://[fe80::1%eth0]/",
    "https://::1/",
    "https://[::1",
    "https://[:::1]/",
    "https://[::1]evil.example/",
    "https://[127.0.0.1]/",
    "https://[]/",
    # names another way: fullwidth, ideographic stop, soft hyphen, Kelvin sign, dots, percent
    "https://ehr\uff0eexample/fhir",
    "https://ehr\u3002example/fhir",
    "https://\uff45hr.example/fhir",
    "https://\u2460\u2461\u2466.0.0.1/",
    "https://ehr\u00ad.example/fhir",
    "https://ehr.example\u212a/fhir",
    "https://\u00ebhr.example/fhir",
    "https://ehr.example./fhir",
    "https://.ehr.example/fhir",
    "https://ehr..example/fhir",
    "https://-ehr.example/fhir",
    "https://ehr-.example/fhir",
    "https://ehr_1.example/fhir",
    "https://%65hr.example/fhir",
    "https://ehr.example%2eevil.example/fhir",
    "https://ehr.example%00.evil.example/fhir",
    f"https://{'a' * 64}.example/",
    f"https://{'a.' * 127}example/",
    "https:///fhir",
    "https://",
    # ports
    "https://ehr.example:/fhir",
    "https://ehr.example:0/fhir",
    "https://ehr.example:0443/fhir",
    "https://ehr.example:65536/fhir",
    "https://ehr.example:443443/fhir",
    "https://ehr.example:+443/fhir",
    "https://ehr.example:-1/fhir",
    "https://ehr.example:44\uff13/fhir",
    "https://ehr.example:443:80/fhir",
    # paths
    "https://ehr.example/fhir/../admin",
    "https://ehr.example/fhir/..",
    "https://ehr.example/fhir/./Patient",
    "https://ehr.example/fhir/.../admin",
    "https://ehr.example/fhir/%2e%2e/admin",
    "https://ehr.example/fhir/%2E./admin",
    "https://ehr.example/fhir/%252e%252e/admin",
    "https://ehr.example/fhir/..%2fadmin",
    "https://ehr.example/fhir/..;/admin",
    "https://ehr.example/fhir;a=b/Patient",
    "https://ehr.example/fhir//Patient",
    "https://ehr.example//evil.example/fhir",
    "https://ehr.example/fhir/Patient/%00",
    "https://ehr.example/fhir/Pati\u00ebnt",
    "https://ehr.example/fhir?_id=%zz",
    "https://ehr.example/fhir?_id=%2",
    # other schemes, none
    "ftp://ehr.example/fhir",
    "file:///etc/passwd",
    "gopher://ehr.example/fhir",
    "data:application/json,{}",
    "//ehr.example/fhir",
    "/fhir",
    "ehr.example/fhir",
    "https:ehr.example/fhir",
    "https:/ehr.example/fhir",
    "http\u017f://ehr.example/fhir",
    "",
    BASE + "/" + "a" * 8192,
]


@pytest.mark.parametrize("url", HOSTILE)
def test_a_url_that_leaves_a_doubt_is_not_read(url: str) -> None:
    assert read_url(url) is None
    assert not is_within(url, url)
    assert not is_within(url, BASE)
    assert not is_within(BASE, url)


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("https://ehr.example", "https://ehr.example:443"),
        ("HTTPS://EHR.Example/Fhir/", "https://ehr.example:443/Fhir/"),
        ("http://127.0.0.1:8080/r4", "http://127.0.0.1:8080/r4"),
        ("http://ehr/r4", "http://ehr:80/r4"),
        ("https://[2606:4700:0:0::1111]/r4", "https://[2606:4700::1111]:443/r4"),
        ("https://[::FFFF:127.0.0.1]/", "https://[::ffff:7f00:1]:443/"),
        ("https://xn--hr-eka.example/", "https://xn--hr-eka.example:443/"),
        ("https://ehr.example/fhir/Patient/a-1.b", "https://ehr.example:443/fhir/Patient/a-1.b"),
        ("https://ehr.example/~a/Patient/$all", "https://ehr.example:443/~a/Patient/$all"),
        ("https://ehr.example/fhir?a=b%7Cc,d", "https://ehr.example:443/fhir?a=b%7Cc,d"),
        ("https://ehr.example/fhir?", "https://ehr.example:443/fhir?"),
    ],
)
def test_a_url_is_read_in_the_one_usual_way(url: str, read: str) -> None:
    assert str(read_url(url)) == read


@pytest.mark.parametrize(
    ("url", "base"),
    [
        (BASE, BASE),
        (BASE, BASE + "/"),
        (BASE + "/", BASE),
        (BASE + "/Patient/1", BASE),
        (BASE + "?_id=1", BASE),
        (BASE + "/Patient?_id=1", BASE + "/"),
        ("https://EHR.example:443/fhir/Patient/1", BASE),
        ("https://ehr.example/anything", "https://ehr.example"),
        ("https://ehr.example/anything", "https://ehr.example/"),
        ("https://ehr.example/keys?app=1", "https://ehr.example/keys?app=1"),
        ("https://[2606:4700::1]/r4/x", "https://[2606:4700:0::1]/r4"),
    ],
)
def test_what_lies_below_a_base(url: str, base: str) -> None:
    assert is_within(url, base)


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://ehr.example.evil/fhir", BASE),
        ("https://ehr.example.evil/fhir", "https://ehr.example"),
        ("https://ehr.examplefhir/", "https://ehr.example"),
        ("https://evil.ehr.example/fhir", BASE),
        ("https://ehr.example/fhir-evil/Patient/1", BASE),
        ("https://ehr.example/fhirevil", BASE),
        ("https://ehr.example/FHIR/Patient/1", BASE),
        ("https://ehr.example/", BASE),
        ("https://ehr.example/other/fhir/Patient/1", BASE),
        ("https://ehr.example:8443/fhir/Patient/1", BASE),
        ("https://ehr.example:80/fhir/Patient/1", BASE),
        ("http://ehr.example/fhir/Patient/1", BASE),
        ("http://ehr.example:443/fhir/Patient/1", BASE),
        ("https://ehr.example/keys?app=2", "https://ehr.example/keys?app=1"),
        ("https://ehr.example/keys", "https://ehr.example/keys?app=1"),
        ("https://ehr.example/keys/x?app=1", "https://ehr.example/keys?app=1"),
        ("https://xn--hr-eka.example/fhir", "https://hr.example/fhir"),
    ],
)
def test_what_only_looks_as_if_it_did(url: str, base: str) -> None:
    assert not is_within(url, base)


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("http://127.0.0.1:9000", ("http", "127.0.0.1", 9000)),
        ("https://ehr.example", ("https", "ehr.example", 443)),
        ("https://ehr.example/", None),
        ("https://ehr.example?", None),
        ("https://0177.0.0.1", None),
    ],
)
def test_an_origin_is_scheme_host_and_port_alone(
    text: str, origin: tuple[str, str, int] | None
) -> None:
    assert read_origin(text) == origin


def test_what_may_name_a_patient_is_not_shown() -> None:
    read = read_url("https://ehr.example/fhir/Patient/ada?name=lovelace")
    assert "ada" not in repr(read)
    assert "lovelace" not in repr(read)


@given(st.text(alphabet="htps:/[]0x17.a-eE%2@\\?#;\uff0e\u3002 \t", max_size=40))
def test_what_is_read_reads_the_same_again(rest: str) -> None:
    read = read_url("https://" + rest)
    if read is not None:
        assert read_url(str(read)) == read
        assert is_within("https://" + rest, str(read))
        assert read.host.isascii()
        assert read.host == read.host.lower()

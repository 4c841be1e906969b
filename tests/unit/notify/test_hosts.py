import pytest

from wiser_fhir.notify.hosts import HostRefused, checked


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://ehr.example", "https://ehr.example"),
        ("https://EHR.example:443/", "https://ehr.example"),
        ("https://ehr.example:8443", "https://ehr.example:8443"),
        ("https://[2606:4700::1]:8443", "https://[2606:4700::1]:8443"),
    ],
)
def test_a_host_is_kept_in_one_way_of_writing_it(given: str, kept: str) -> None:
    assert checked(given) == kept


@pytest.mark.parametrize(
    "given",
    [
        "http://ehr.example",
        "ehr.example",
        "https://ehr.example/path",
        "https://a@b",
        "",
        "https://",
    ],
)
def test_anything_but_an_https_origin_is_refused(given: str) -> None:
    with pytest.raises(HostRefused):
        checked(given)

"""The map from our reasons to X12's codes."""

from pathlib import Path

import pytest

from wiser_fhir.pas.reject_reasons import RejectReason, RejectReasons
from wiser_fhir.priorauth.changes import UpdateRefusal
from wiser_fhir.priorauth.models import DismissalReason

ALL = [*DismissalReason, *UpdateRefusal]


def _file(folder: Path, *names: str) -> Path:
    entries = [f'[{n}]\ncode = "T4"\nfollowup = "C"\npath = "Bundle"\n' for n in names]
    file = folder / "reasons.toml"
    file.write_text("\n".join(entries))
    return file


def test_every_reason_has_its_codes() -> None:
    reasons = RejectReasons.load().reasons
    assert set(reasons) == set(ALL)
    for reject in reasons.values():
        assert reject.code
        assert reject.followup
        assert reject.path.startswith("Bundle.entry[0].resource.")


def test_a_partner_may_have_codes_of_its_own(tmp_path: Path) -> None:
    reasons = RejectReasons.load(_file(tmp_path, *ALL)).reasons
    assert reasons[DismissalReason.DUPLICATE] == RejectReason("T4", "C", "Bundle")


def test_a_map_that_lacks_a_reason_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="duplicate-before-determination"):
        RejectReasons.load(_file(tmp_path, *(r for r in ALL if r != DismissalReason.DUPLICATE)))


def test_so_is_one_with_a_reason_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="made-up"):
        RejectReasons.load(_file(tmp_path, *ALL, "made-up"))

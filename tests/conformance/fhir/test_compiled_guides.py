"""What is committed under igs/compiled is what the pinned packages give, to the byte."""

from pathlib import Path

import pytest

from wiser_fhir.fhir.validation import packages as packages_module
from wiser_fhir.fhir.validation.compiler import compile_guides, verify_guides
from wiser_fhir.fhir.validation.guide import CORE
from wiser_fhir.fhir.validation.packages import PackageError, Pin, packages_folder, read
from wiser_fhir.fhir.validation.validator import GuideValidator
from wiser_fhir.resources import resource_path


def test_compiling_again_gives_the_same_bytes(packages: Path) -> None:
    assert verify_guides(packages) == []


def test_no_guide_prose_and_few_megabytes() -> None:
    files = [f for f in resource_path("igs/compiled").rglob("*") if f.is_file()]
    assert sum(f.stat().st_size for f in files) < 8_000_000
    for file in files:
        text = file.read_text("utf-8")
        for key in ('"definition":', '"comment":', '"human":', '"short":', '"requirements":'):
            assert key not in text, (file, key)


def test_meta_has_its_six_elements_and_no_vendor_s(validators: dict[str, GuideValidator]) -> None:
    for validator in validators.values():
        meta = validator._guide.definition(CORE + "Meta")
        assert meta is not None
        names = [c.name for c in meta.root.children if c.name not in ("id", "extension")]
        assert names == ["versionId", "lastUpdated", "source", "profile", "security", "tag"]


def test_an_unset_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(packages_module.VARIABLE, raising=False)
    with pytest.raises(PackageError, match="WISER_FHIR_PACKAGES"):
        packages_folder()


def test_another_file_than_the_pinned_one_is_refused(packages: Path, tmp_path: Path) -> None:
    pin = Pin("hl7.fhir.uv.subscriptions-backport.r4", "1.1.0", "0" * 64)
    with pytest.raises(PackageError, match="sha256"):
        list(read(packages, pin))
    with pytest.raises(PackageError, match="not in"):
        compile_guides(tmp_path, tmp_path / "out")

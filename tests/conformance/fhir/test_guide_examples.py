"""Every official example of the guides that states a profile passes it."""

from pathlib import Path

import pytest

from wiser_fhir.fhir.validation.packages import examples
from wiser_fhir.fhir.validation.validator import GuideValidator

# HL7's engine refuses it too: the guide's profile repeats bdl-3 where %resource is the Parameters.
REFUSED = {("2.0", "Parameters-QuestionnairePackageOutputParamsExample.json")}
OWN = ("http://hl7.org/fhir/us/davinci-", "http://hl7.org/fhir/us/core/")
GUIDES = [
    ("2.2", "hl7.fhir.us.davinci-pas#2.2.1.tgz", 40),
    ("2.0", "hl7.fhir.us.davinci-pas#2.0.1.tgz", 35),
    ("2.0", "hl7.fhir.us.davinci-dtr#2.0.1.tgz", 10),
    ("2.2", "hl7.fhir.us.core#6.1.0.tgz", 150),
]


@pytest.mark.parametrize(("line", "package", "at_least"), GUIDES)
def test_no_false_alarm(
    line: str,
    package: str,
    at_least: int,
    packages: Path,
    validators: dict[str, GuideValidator],
) -> None:
    validator, seen, alarms = validators[line], 0, {}
    for name, resource in examples(packages, package):
        for profile in resource.get("meta", {}).get("profile", []):
            if not profile.startswith(OWN):
                continue  # a profile of yet another guide
            seen += 1
            problems = validator.problems(resource, profile)
            errors = [p for p in problems if p.severity == "error"]
            assert validator.accepts(resource, profile) is not bool(errors), name
            if errors and (line, name) not in REFUSED:
                alarms[name] = errors[:3]
    assert seen >= at_least
    assert alarms == {}

"""HL7's engine with the packages that the public DTR suite has it use for 2.0.1."""

from typing import Any

from tests.oracle.judge import Judge, Line

Json = dict[str, Any]

# DTR 2.0.1 names these two; line 2.0 of ours has a later SDC and no HRex of that time.
_SDC, _HREX = "hl7.fhir.uv.sdc#3.0.0", "hl7.fhir.us.davinci-hrex#1.0.0"
# SDC's profiles of a response in 2.2 have a slice for what R5 has and no package of R4 defines.
_NOT_OF_R4 = "extension-QuestionnaireResponse.source"


class SuiteJudge(Judge):
    """As `Judge`, with SDC 3.0.0 on line 2.0."""

    def lines(self) -> dict[str, list[str]]:
        """The packages that a resource of each line is judged by."""
        known = super().lines()
        ours = [each for each in known["2.0"] if not each.startswith("hl7.fhir.uv.sdc#")]
        at = next(n for n, each in enumerate(ours) if each.startswith("hl7.fhir.us.core#"))
        return known | {"2.0": [*ours[:at], _SDC, _HREX, *ours[at:]]}

    def errors(self, resource: Json, line: Line, profile: str) -> list[str]:
        """What is wrong with a resource by a profile."""
        issues = self.validate(resource, line, profile)
        return [
            f"{each.expression}: {each.text}"
            for each in issues
            if each.is_error and _NOT_OF_R4 not in each.text
        ]

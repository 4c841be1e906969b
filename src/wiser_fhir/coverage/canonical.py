"""The canonical addresses of what we publish. They never carry the host we run on."""

CANONICAL = "https://wiser-fhir.example/fhir"
CANONICAL_2_0 = "https://wiser-fhir.example/v2.0/fhir"


def questionnaire_urls(slug: str) -> frozenset[str]:
    """The address of a service's form on each line. The questions are the same on both."""
    return frozenset(f"{base}/Questionnaire/{slug}" for base in (CANONICAL, CANONICAL_2_0))

"""The canonical addresses of what we publish. They never carry the host we run on."""

CANONICAL = "https://wiser-fhir.example/fhir"
CANONICAL_2_0 = "https://wiser-fhir.example/v2.0/fhir"


_ADAPTIVE = "-adaptive"


def questionnaire_urls(slug: str) -> frozenset[str]:
    """The addresses of a service's forms, whole and adaptive, on each line.

    The questions are the same in all of them.
    """
    names = (slug, slug + _ADAPTIVE)
    bases = (CANONICAL, CANONICAL_2_0)
    return frozenset(f"{base}/Questionnaire/{name}" for base in bases for name in names)


def is_adaptive(questionnaire: str) -> bool:
    """Whether an address of ours is that of a form which is asked step by step."""
    return questionnaire.endswith(_ADAPTIVE)


def service_of(questionnaire: str) -> str:
    """The service that an address would be a form of, if it is one of ours."""
    return questionnaire.rpartition("/")[2].removesuffix(_ADAPTIVE)

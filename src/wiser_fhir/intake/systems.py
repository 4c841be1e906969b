"""Code systems by any of the names that clients give them."""

import re
from collections.abc import Mapping

from wiser_fhir.coverage.requested import CPT, HCPCS

LOINC = "http://loinc.org"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
SNOMED_CT = "http://snomed.info/sct"
UCUM = "http://unitsofmeasure.org"
_ICD_10_CM = "http://hl7.org/fhir/sid/icd-10-cm"
_ICD_10_PCS = "http://www.cms.gov/Medicare/Coding/ICD10"

_NAMES: Mapping[str, tuple[str, ...]] = {
    CPT: (CPT, "urn:oid:2.16.840.1.113883.6.12"),
    HCPCS: (
        HCPCS,
        "http://terminology.hl7.org/CodeSystem/HCPCS",
        "http://bluebutton.cms.gov/resources/codesystem/hcpcs",
        "urn:oid:2.16.840.1.113883.6.285",
    ),
    LOINC: (LOINC, "urn:oid:2.16.840.1.113883.6.1"),
    RXNORM: (RXNORM, "urn:oid:2.16.840.1.113883.6.88"),
    SNOMED_CT: (SNOMED_CT, "urn:oid:2.16.840.1.113883.6.96"),
    UCUM: (UCUM, "urn:oid:2.16.840.1.113883.6.8"),
    _ICD_10_CM: (_ICD_10_CM, "urn:oid:2.16.840.1.113883.6.90"),
    _ICD_10_PCS: (_ICD_10_PCS, "urn:oid:2.16.840.1.113883.6.4"),
}
_OID = re.compile(r"[0-2](?:\.[0-9]+)+")


def plain_system(system: str) -> str:
    """The name of a code system that we know it by; as it was written where we do not know it."""
    return _PLAIN.get(_spelled(system), system)


def _spelled(system: str) -> str:
    """A name without what makes no other system of it: https, capitals, a slash at the end."""
    name = system.strip().rstrip("/").casefold()
    if _OID.fullmatch(name):
        return f"urn:oid:{name}"
    return name.replace("https://", "http://", 1)


_PLAIN = {_spelled(name): system for system, names in _NAMES.items() for name in names}

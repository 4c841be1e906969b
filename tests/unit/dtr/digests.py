"""A digest of everything a package of a form has, by line and canonical with version.

`python -m tests.unit.dtr.digests` writes them anew.
"""

import json
from hashlib import sha256
from pathlib import Path

from tests.unit.dtr.packing import forms
from wiser_fhir.dtr.forms import Form
from wiser_fhir.fhir.codes import LINES

FILE = Path(__file__).with_name("digests.json")
Digests = dict[str, dict[str, str]]


def digests() -> Digests:
    """Those of what the catalogue and the logic make now."""
    return {
        line: {form.canonical: digest(form) for form in forms().of_line(line)} for line in LINES
    }


def kept() -> Digests:
    """Those that were written down."""
    found: Digests = json.loads(FILE.read_text())
    return found


def digest(form: Form) -> str:
    """The digest of the Questionnaire, its Libraries and its value sets."""
    resources = [form.questionnaire, *form.libraries, *form.value_sets]
    return sha256(json.dumps(resources, sort_keys=True).encode()).hexdigest()


if __name__ == "__main__":
    FILE.write_text(json.dumps(digests(), indent=1, sort_keys=True) + "\n")

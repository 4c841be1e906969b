"""Services of a few questions, for what holds of any form."""

from pathlib import Path

from tests.unit.coverage.made_up import make_folder
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.models import ServiceRules

_HEAD = """
name = "A small form"
status = "active"
category = "made-up"
guide_section = "0.0"
states = ["NJ"]
policies = [{ type = "NCD", id = "0.0" }]
sources = ["guide"]
codes = [{ code = "99990", system = "CPT", role = "primary", text = "The thing" }]
"""
_RULES = {"boolean": '{ op = "eq", value = true }', "choice": '{ op = "eq", value = "a" }'}


def asking(name: str, kind: str = "boolean", more: str = "", when: str = "") -> str:
    """One question: yes meets it, or the option a of a, b and c, or any other answer.

    Of several choices one is `none`, which fails.

    `when` is `question=value` or `question!=value`.
    """
    options = ", ".join(f'{{ code = "{each}", label = "{each}" }}' for each in "abc")
    if kind == "multi_choice":
        options += ', { code = "none", label = "none", outcome = "fail" }'
    listed = f"options = [{options}]\n" if kind.endswith("choice") else ""
    rule = _RULES.get(kind, '{ op = "answered" }')
    fails = "" if "if_unmet" in more else 'if_unmet = "fail"\n'
    ruled = "" if "rule =" in more else f"rule = {rule}\n"
    return (
        f'[[questions]]\nid = "{name}"\ntext = "{name}?"\ntype = "{kind}"\nkind = "attestation"\n'
        f'source = ["guide"]\n{ruled}{fails}{listed}{_when(when)}{more}\n'
    )


def _when(told: str) -> str:
    if not told:
        return ""
    unequal = "!=" in told
    question, _, value = told.partition("!=" if unequal else "=")
    word = "not_equals" if unequal else "equals"
    shown = value if value in ("true", "false") else f'"{value}"'
    return f'enable_when = {{ question = "{question}", {word} = {shown} }}\n'


def small_form(base: Path, decision: str, *questions: str) -> ServiceRules:
    """A service of these questions and this tree."""
    text = f"{_HEAD}{''.join(questions)}[decision]\n{decision}\n"
    folder = make_folder(base, {"small/2026-01-15.toml": text})
    return Catalogue.load(folder).versions("small")[0]

"""A fault in a rule file stops the start, with a message that names file and place."""

from datetime import date
from pathlib import Path

import pytest

from tests.unit.coverage.made_up import SERVICE, bent, made_up, make_folder
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.loading import CatalogueError

EMPTY_DECISION = (
    'all = ["agreed", { if_equals = { question = "way", value = "left" }, then = "signs" }]'
)

SIGNS = """options  = [
  { code = "one", label = "One" },
  { code = "two", label = "Two" },
  { code = "none", label = "Neither", outcome = "fail" },
]
"""
FAULTS = {
    "a typo in a key": (
        ('name          = "Made', 'nmae          = "Made'),
        "nmae: Extra inputs are not permitted",
    ),
    "a typo in a question": (('if_unmet = "review"', 'if_unment = "review"'), "questions[signs]"),
    "an unknown operator": (('op = "answered"', 'op = "asked"'), "questions[begun].rule"),
    "an unknown type": (('type     = "date"', 'type     = "day"'), "questions[begun].type"),
    "no mark of fact or attestation": (
        ('kind     = "attestation"\n', ""),
        "questions[agreed].kind: Field required",
    ),
    "a mark that is none": (('kind     = "attestation"', 'kind = "opinion"'), "questions[agreed]"),
    "no source": (('source   = ["guide"]', "source   = []"), "questions[agreed].source"),
    "an empty all": ((EMPTY_DECISION, "all = []"), "decision"),
    "an empty any": ((EMPTY_DECISION, "any = []"), "decision"),
    "an empty all below": ((EMPTY_DECISION, 'all = ["agreed", { all = [] }]'), "decision"),
    "no node": ((EMPTY_DECISION, "all = [1]"), "a node is a question id"),
    "a table that is no node": (
        (EMPTY_DECISION, 'all = [{ none = ["agreed"] }]'),
        "a node is a question id",
    ),
    "no decision": (("[decision]\n" + EMPTY_DECISION, ""), "an active service needs one"),
    "a decision on an unknown question": (
        ('all = ["agreed"', 'all = ["argued"'),
        "decision names the unknown question argued",
    ),
    "a condition on an unknown question": (
        ('if_equals = { question = "way"', 'if_equals = { question = "path"'),
        "decision names the unknown question path",
    ),
    "a condition on no option": (
        ('value = "left" }, then', 'value = "up" }, then'),
        "decision: 'up' is no possible answer of way",
    ),
    "an if on no yes/no question": (
        ('if_equals = { question = "way", value = "left" }', 'if = "way"'),
        "decision: True is no possible answer of way",
    ),
    "enable_when on an unknown question": (
        ('enable_when = { question = "way"', 'enable_when = { question = "path"'),
        "questions: signs: enable_when names the unknown question path",
    ),
    "enable_when on no option": (
        (
            'question = "way", equals = "left" }\noptions',
            'question = "way", equals = "up" }\noptions',
        ),
        "questions: signs: enable_when: 'up' is no possible answer of way",
    ),
    "enable_when without comparison": (
        (', equals = "left" }\noptions', " }\noptions"),
        "either equals or not_equals",
    ),
    "enable_when in a circle": (
        (
            'kind     = "fact"\noptions  = [\n  { code = "left"',
            'kind     = "fact"\nenable_when = { question = "signs", equals = "one" }\n'
            'options  = [\n  { code = "left"',
        ),
        "questions: way: enable_when goes round in a circle",
    ),
    "a rule on no option": (
        ('rule     = { op = "eq", value = "left" }', 'rule     = { op = "in", value = ["up"] }'),
        "way: the rule names 'up', which is no possible answer",
    ),
    "a rule on no single option": (
        ('rule     = { op = "eq", value = "left" }', 'rule     = { op = "eq", value = "up" }'),
        "way: the rule names 'up', which is no possible answer",
    ),
    "an operator that does not fit": (
        ('rule     = { op = "min_count", value = 1 }', 'rule     = { op = "eq", value = "one" }'),
        "signs: the operator eq does not fit the type multi_choice",
    ),
    "more options wanted than there are": (
        ('op = "min_count", value = 1', 'op = "min_count", value = 3'),
        "signs: the rule wants 3 of 2 options",
    ),
    "an option that contradicts the rule": (
        ('label = "Right", outcome = "fail"', 'label = "Right", outcome = "meet"'),
        "way: option right is marked meet, the rule says otherwise",
    ),
    "an option twice": (('code = "two"', 'code = "one"'), "signs: option one stands twice"),
    "a choice without options": (
        (SIGNS, ""),
        "signs: a multi_choice question has no options",
    ),
    "no way to say none": (
        ('  { code = "none", label = "Neither", outcome = "fail" },\n', ""),
        "questions: signs: no option says that none of them applies",
    ),
    "a none that counts": (
        ('label = "Neither", outcome = "fail"', 'label = "Neither"'),
        "signs: option none would count, it needs an outcome of its own",
    ),
    "a maximum below the minimum": (
        ("required = false", "required = false\nminimum = 3\nmaximum = 2"),
        "score: maximum lies below minimum",
    ),
    "a maximum of what is no number": (
        ('type     = "date"', 'type     = "date"\nmaximum = 10'),
        "begun: a date question has no maximum",
    ),
    "options that nobody can choose": (
        ('type     = "date"', 'type     = "date"\noptions = [{ code = "a", label = "A" }]'),
        "begun: a date question has needless options",
    ),
    "a range upside down": (("min = 1, max = 2.5", "min = 3, max = 2.5"), "min lies above max"),
    "a number as text": (("min = 1,", 'min = "1",'), "questions[score].rule"),
    "a date beside no date": (
        ('question = "begun", value = 2', 'question = "agreed", value = 2'),
        "questions: seen: rule: agreed is no date question",
    ),
    "a date beside nothing": (
        ('question = "begun", value = 2', 'question = "origin", value = 2'),
        "questions: seen: rule: origin is no date question",
    ),
    "a question twice": (('id       = "signs"', 'id       = "agreed"'), "agreed stands twice"),
    "a code twice": (('code   = "99991"', 'code   = "99990"'), "codes: 99990 stands twice"),
    "an add-on to nothing": (('add_on_to = ["99990"]\n', ""), "codes[99991]"),
    "an add-on to a stranger": (
        ('add_on_to = ["99990"]', 'add_on_to = ["99999"]'),
        "codes: 99991 is an add-on to 99999, no primary code of this file",
    ),
    "no primary code": (
        ('role   = "primary"', 'role   = "add-on"\nadd_on_to = ["99990"]'),
        "an active service has at least one primary code",
    ),
    "a recognition code of an active service": (
        ('role   = "primary"', 'role   = "recognition"'),
        "recognition codes are for delayed services",
    ),
    "a code as a number": (('code   = "99990"', "code   = 99990"), "codes[99990].code"),
    "an LCD without MACs": (('type = "NCD"', 'type = "LCD"'), "0.0: an LCD names its MACs"),
    "an NCD with MACs": (('id = "0.0" }]', 'id = "0.0", macs = ["JL"] }]'), "an NCD none"),
    "an LCD of no MAC": (
        ('type = "NCD", id = "0.0"', 'type = "LCD", id = "L1", macs = ["JX", "JL", "JH"]'),
        "policies: no such MAC: JX",
    ),
    "a state without policy": (
        ('type = "NCD", id = "0.0"', 'type = "LCD", id = "L1", macs = ["JL"]'),
        "policies: none holds in TX",
    ),
    "a state of no model": (('"NJ", "TX"', '"NJ", "CA"'), "states: CA is no state of the model"),
    "a source nobody knows": (('sources       = ["guide"]', 'sources = ["hearsay"]'), "hearsay"),
    "a slug in the file": (('name          = "Made', 'slug = "x"\nname = "Made'), "by the path"),
    "a half review": (
        ('category      = "made-up"', 'category = "made-up"\nreviewed_by = "Dr. A"'),
        "reviewed_by and reviewed_on go together",
    ),
    "requests after the first day": (
        ('category      = "made-up"', 'category = "made-up"\nrequests_from = 2026-02-01'),
        "requests_from lies after the first day",
    ),
    "a delayed service that decides": (
        ('status        = "active"', 'status = "delayed"'),
        "decision: a delayed service decides nothing",
    ),
    "no TOML": (("[decision]", "[decision"), "not readable as TOML"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_stops_the_start_and_names_its_place(tmp_path: Path, case: str) -> None:
    change, place = FAULTS[case]
    folder = make_folder(tmp_path, {"made-up/2026-01-15.toml": bent(change)})
    with pytest.raises(CatalogueError) as caught:
        Catalogue.load(folder)
    assert "services/made-up/2026-01-15.toml" in str(caught.value)
    assert place in str(caught.value)


def test_who_need_not_answer_needs_no_way_to_say_none(tmp_path: Path) -> None:
    optional = ('enable_when = { question = "way", equals = "left" }', "required = false")
    without = ('  { code = "none", label = "Neither", outcome = "fail" },\n', "")
    assert made_up(tmp_path, without, optional).by_id["signs"].exclusive == frozenset()


def test_every_fault_of_every_file_is_named_at_once(tmp_path: Path) -> None:
    files = {
        "one/2026-01-15.toml": SERVICE.lower(),
        "two/2026-01-15.toml": bent(('if_unmet = "review"', 'if_unmet = "maybe"')),
        "three/2026-01-32.toml": SERVICE,
        "four/readme.txt": "no rule file",
    }
    with pytest.raises(CatalogueError) as caught:
        Catalogue.load(make_folder(tmp_path, files))
    named = {fault.split(":")[0] for fault in caught.value.faults}
    assert named == {
        "services/one/2026-01-15.toml",
        "services/two/2026-01-15.toml",
        "services/three/2026-01-32.toml",
        "services/four",
    }


def test_a_delayed_service_has_recognition_codes_only(tmp_path: Path) -> None:
    decision = "[decision]\n" + EMPTY_DECISION
    with pytest.raises(CatalogueError, match="recognition codes only"):
        made_up(tmp_path, ('status        = "active"', 'status = "delayed"'), (decision, ""))


def test_one_code_in_two_services_at_the_same_time(tmp_path: Path) -> None:
    files = {
        "one/2026-01-15.toml": SERVICE,
        "two/2026-03-01.toml": bent(('code   = "99990"', 'code   = "88880"'), ("99990", "88880")),
        "two/2026-05-01.toml": SERVICE,
        "two/2026-06-01.toml": SERVICE,
        "other/2026-07-01.toml": SERVICE.replace("9999", "7777"),
    }
    with pytest.raises(CatalogueError) as caught:
        Catalogue.load(make_folder(tmp_path, files))
    both = "services/one/2026-01-15.toml and services/two/"
    assert caught.value.faults == (
        f"{both}2026-03-01.toml: both list the code 99991",
        f"{both}2026-05-01.toml: both list the code 99990",
        f"{both}2026-05-01.toml: both list the code 99991",
        f"{both}2026-06-01.toml: both list the code 99990",
        f"{both}2026-06-01.toml: both list the code 99991",
    )


def test_a_later_file_opens_later(tmp_path: Path) -> None:
    early = ('category      = "made-up"', 'category = "made-up"\nrequests_from = 2026-01-10')
    files = {"made-up/2026-01-15.toml": SERVICE, "made-up/2026-02-01.toml": bent(early)}
    with pytest.raises(CatalogueError, match=r"2026-02-01\.toml: opens on 2026-01-10, no later"):
        Catalogue.load(make_folder(tmp_path, files))


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    (folder / "sources.toml").unlink()
    with pytest.raises(CatalogueError, match=r"sources\.toml: no such file"):
        Catalogue.load(folder)


def test_a_catalogue_without_services_is_none(tmp_path: Path) -> None:
    (make_folder(tmp_path) / "services" / "made-up" / "2026-01-15.toml").unlink()
    (tmp_path / "services" / "made-up").rmdir()
    with pytest.raises(CatalogueError, match="no service at all"):
        Catalogue.load(tmp_path)


@pytest.mark.parametrize(
    ("table", "old", "new", "fault"),
    [
        ("process.toml", "validity_days            = 120", "validity_days = 0", "timeframes"),
        ("process.toml", '"railroad",', '"railway",', "gates[7]"),
        ("process.toml", "'^[A-Z0-9]{2}[ABH][0-9]{11}$'", "'^[A-Z'", "utn.issue_pattern"),
        ("process.toml", 'place_of_service    = ["11"]', "", "office: a site has a place"),
        ("geography.toml", 'participant = "zyter"', 'participant = "zytre"', "states.AZ: no such"),
        ("geography.toml", 'mac         = "JL"', 'mac = "JK"', "states.NJ: no such MAC: JK"),
    ],
)
def test_a_fault_in_a_table_is_named(
    tmp_path: Path, table: str, old: str, new: str, fault: str
) -> None:
    folder = make_folder(tmp_path)
    path = folder / table
    path.write_text(bent((old, new), text=path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(CatalogueError) as caught:
        Catalogue.load(folder)
    assert table in str(caught.value)
    assert fault in str(caught.value)


def test_a_reviewed_file_says_so(tmp_path: Path) -> None:
    signed = 'category = "made-up"\nreviewed_by = "Dr. A"\nreviewed_on = 2026-02-03'
    rules = made_up(tmp_path, ('category      = "made-up"', signed))
    assert rules.is_reviewed
    assert rules.reviewed_on == date(2026, 2, 3)

"""What a form says in so many words."""

from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.wording import help_text, same_words, shown_text


def test_a_unit_stands_behind_the_question_where_it_does_not_name_it() -> None:
    rules = Catalogue.load().versions("hypoglossal-nerve-stimulation")[-1]
    ahi = rules.by_id["hgns-ahi"]
    assert shown_text(ahi) == f"{ahi.text} (events/h)"
    named = ahi.model_copy(update={"text": "How many Events/h?"})
    assert shown_text(named) == "How many Events/h?"
    assert shown_text(ahi.model_copy(update={"unit": None})) == ahi.text


def test_where_an_answer_is_usually_documented() -> None:
    rules = Catalogue.load().versions("hypoglossal-nerve-stimulation")[-1]
    question = rules.by_id["hgns-ahi"].model_copy(update={"evidence": ("sleep-study", "note")})
    assert help_text(question) == "Usually documented in: sleep study, note"
    assert help_text(question.model_copy(update={"evidence": ()})) is None


def test_space_between_words_makes_no_others() -> None:
    assert same_words(" a\n b ", "a b")
    assert not same_words("ab", "a b")
    assert not same_words("A b", "a b")

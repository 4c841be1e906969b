"""What a form says in so many words, besides its questions and options as they are written."""

from wiser_fhir.coverage.questions import Question

END_OF_CLINICAL_QUESTIONS = "end-of-clinical-questions"
END_TEXT = "This is the end of the clinical questions."


def shown_text(question: Question) -> str:
    """The question, with its unit where it does not name it: no client has to show a unit that is
    said in an extension only (DTR 2.2.0 §spec-21)."""
    unit = question.unit
    if unit is None or unit.casefold() in question.text.casefold():
        return question.text
    return f"{question.text} ({unit})"


def help_text(question: Question) -> str | None:
    """Where the answer is usually documented, if that is known."""
    names = ", ".join(name.replace("-", " ") for name in question.evidence)
    return f"Usually documented in: {names}" if names else None


def same_words(one: str, other: str) -> bool:
    """Whether two texts differ in nothing but the space between their words."""
    return one.split() == other.split()

"""How a form that was answered looked to those who answered it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FormItem:
    """One item of a form, or of a response to one. None of it is known to be ours.

    `below` is the linkId of the item it stands under, None at the top. `shown` are the words that
    stand for a code, by the code. `foreign` when it says more of its meaning than an item of ours.
    """

    link_id: str
    below: str | None = None
    text: str | None = None
    answered: bool = False
    shown: tuple[tuple[str, str], ...] = ()
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class ContainedForm:
    """The form that a response asked step by step holds, as far as it was asked."""

    in_use: bool
    items: tuple[FormItem, ...]


@dataclass(frozen=True, slots=True)
class FormLayout:
    """Every item of a response, in order. `modified` when the whole says how it is to be read."""

    items: tuple[FormItem, ...]
    contained: ContainedForm | None = None
    modified: bool = False

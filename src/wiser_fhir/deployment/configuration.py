"""The page of all settings, made of their descriptions: docs/configuration.md."""

from wiser_fhir.settings import PREFIX, Settings


def configuration_page() -> str:
    """The text of docs/configuration.md."""
    return "\n".join(
        [
            "# Configuration",
            "",
            "Every setting is an environment variable. An unknown or malformed `WISER_*` variable"
            " stops the start with one line that names it.",
            "",
            "| Variable | Default | Meaning |",
            "| --- | --- | --- |",
            *(_row(name) for name in Settings.model_fields),
            "",
        ]
    )


def _row(name: str) -> str:
    field = Settings.model_fields[name]
    return f"| `{PREFIX}{name.upper()}` | {_shown(field.default)} | {field.description} |"


def _shown(default: object) -> str:
    if default is None or default == ():
        return "unset"
    if isinstance(default, tuple):
        return f"`{','.join(default)}`"
    return f"`{default}`"

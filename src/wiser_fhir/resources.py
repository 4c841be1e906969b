"""Where the data beside the code lies: in the repository, or inside the installed wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).parent
_REPOSITORY = _PACKAGE.parents[1]


def resource_path(name: str) -> Path:
    """The file or folder `name` (`capability`, `igs/compiled`, `alembic.ini`, ...).

    Raises FileNotFoundError.
    """
    for base in (_REPOSITORY, _PACKAGE / "_data"):
        if (base / name).exists():
            return base / name
    raise FileNotFoundError(f"{name}: neither in the repository nor in the installed package")

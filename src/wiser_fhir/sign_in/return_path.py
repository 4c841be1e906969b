"""Where a browser goes once somebody has signed in: to a path of our own, never elsewhere."""

import re
from typing import Final

WELCOME: Final = "/sign-in/welcome"

_LONGEST: Final = 1_024
# No backslash, which browsers read as a slash, and no second slash at the start, behind which a
# host would follow.
_OWN_PATH: Final = re.compile(r"/(?!/)[A-Za-z0-9._~!$&'()*+,;=:@/%?-]*")


def is_own_path(path: str) -> bool:
    """Whether a browser that is sent there stays with us."""
    return len(path) <= _LONGEST and _OWN_PATH.fullmatch(path) is not None

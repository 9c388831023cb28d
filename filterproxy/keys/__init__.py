"""The installation's secrets: a folder (0700) with a file (0600) per key, made once and replaced by rotation alone.

Nothing here puts the content of a key into a message or a representation.
"""

from .files import Owner
from .ring import ROTATED, UNDER_BUNDLE, Keys

__all__ = ["ROTATED", "UNDER_BUNDLE", "Keys", "Owner"]

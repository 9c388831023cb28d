"""The few errors of the house: each exists because a caller acts differently on it.

A message may be shown to an operator; it never holds a listed address, a key or a client's address.
"""

from __future__ import annotations


class FilterproxyError(Exception):
    """Anything this product raises on purpose. The command line prints it as one line and exits 2."""


class ConfigError(FilterproxyError):
    """The configuration cannot be used. Nothing starts; the message names the key and the reason."""


class SourceError(FilterproxyError):
    """A list could not be read or was refused. The previous one stays in force, and its age shows."""


class SegmentError(FilterproxyError):
    """A segment or manifest is damaged, foreign or older. It is never adopted; the last good one stays."""


class SecretError(FilterproxyError):
    """A key is missing, unsafe (readable by others) or does not open what it should. The role does not start."""


class TokenError(FilterproxyError):
    """A notice's token is damaged, foreign or expired. The person may still type the address by hand."""


class StoreError(FilterproxyError):
    """The database cannot be used. Filtering goes on; people are told to try again later."""


class MoveError(FilterproxyError):
    """An appeal cannot take this step from where it is. Nothing is changed."""


class ControlError(FilterproxyError):
    """The running product cannot be reached or refused a command on its control socket."""

"""The configuration: frozen models, a file per table, defaults beside the fields. Unknown keys are errors."""

from .load import load, load_text
from .root import Settings

__all__ = ["Settings", "load", "load_text"]

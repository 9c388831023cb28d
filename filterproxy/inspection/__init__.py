"""The HTTP frontend: an addon for mitmproxy that judges every request, and the role that runs it.

mitmproxy lets a flow pass when an addon fails, tells its log every address, and dials wherever it is asked to. Each
file here takes one of these away; `filter` holds the hooks.
"""

from .filter import HttpFilter
from .server import run_inspector

__all__ = ["HttpFilter", "run_inspector"]

"""The HTTP frontend's fast lane: a proxy that judges by host and, where it is in clear, by URL, and moves bytes.

`client` and `exchange` are the way of a request, `opening` looks at what a tunnel or a diverted connection begins with,
`tunnel` lets the kernel move what was judged. What needs a look inside TLS goes to an inspector (`inspected`).
"""

from .server import Serving, furnish

__all__ = ["Serving", "furnish"]

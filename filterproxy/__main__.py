"""`filterproxy` and `python -m filterproxy`."""

from __future__ import annotations

from filterproxy.cli.main import main

if __name__ == "__main__":
    main()

__all__ = ["main"]

"""The image is tested where one was built: `.ci/run` does, and names it in FILTERPROXY_IMAGE."""

from __future__ import annotations

import os

collect_ignore = [] if os.environ.get("FILTERPROXY_IMAGE") else ["test_image.py"]

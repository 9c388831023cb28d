from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from filterproxy.cli.quoting import quoted, quoted_or_null


@given(st.text())
def test_a_quoted_text_reads_back_the_same(text):
    """Whatever a target holds, its JSON string is that text."""
    assert json.loads(quoted(text)) == text
    assert json.loads(quoted_or_null(text)) == text
    assert quoted_or_null(None) == "null"

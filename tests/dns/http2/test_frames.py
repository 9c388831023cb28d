"""Frames as bytes: as another library reads and writes them."""

from __future__ import annotations

import pytest
from hyperframe.frame import DataFrame, Frame
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.dns.http2 import frames
from filterproxy.dns.http2.frames import Broken, frame, number, unpadded


@given(st.integers(1, 2**31 - 1), st.binary(max_size=300))
def test_a_frame_is_what_others_read(stream: int, payload: bytes):
    """Kind, flags, stream, length and what it holds arrive in hyperframe as they were meant."""
    data = frame(frames.DATA, frames.END_STREAM, stream, payload)
    found, length = Frame.parse_frame_header(memoryview(data[:9]))
    found.parse_body(memoryview(data[9 : 9 + length]))
    assert isinstance(found, DataFrame)
    assert (found.stream_id, found.data, list(found.flags)) == (stream, payload, ["END_STREAM"])


@given(st.binary(max_size=300), st.integers(0, 255))
def test_padding_goes(payload: bytes, pad: int):
    """What another library padded is found without its padding."""
    made = DataFrame(1, data=payload, pad_length=pad, flags=["PADDED"])
    assert unpadded(frames.PADDED, made.serialize()[9:]) == payload
    assert unpadded(0, payload) == payload


@pytest.mark.parametrize(("payload", "code"), [
    (b"", frames.FRAME_SIZE_ERROR), (b"\1", frames.PROTOCOL_ERROR), (b"\5abcd", frames.PROTOCOL_ERROR),
])  # fmt: skip
def test_padding_that_does_not_fit_ends_the_connection(payload: bytes, code: int):
    """It may not be longer than the frame (RFC 9113, section 6.1)."""
    with pytest.raises(Broken) as found:
        unpadded(frames.PADDED, payload)
    assert found.value.code == code


def test_a_number_has_four_bytes():
    """Neither three nor five."""
    assert number(b"\0\0\1\0") == 256
    for wrong in (b"\0\0\1", b"\0\0\0\0\1"):
        with pytest.raises(Broken):
            number(wrong)

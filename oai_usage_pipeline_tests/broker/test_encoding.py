"""Encoding and decoding agree with each other, and with the SDK's own codec."""

import uuid
from typing import Any

import pytest
from azure.eventhub._pyamqp._decode import _DECODE_BY_CONSTRUCTOR
from hypothesis import given
from hypothesis import strategies as st

from oai_usage_pipeline.broker.amqp_types import (
    Byte,
    Described,
    Int,
    Opaque,
    Short,
    Symbol,
    Timestamp,
    UByte,
    UInt,
    ULong,
    UShort,
)
from oai_usage_pipeline.broker.decoding import decode, skip
from oai_usage_pipeline.broker.encoding import encode, strings, symbols
from oai_usage_pipeline.broker.errors import DecodeError


def signed(bits: int) -> st.SearchStrategy[int]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def unsigned(bits: int) -> st.SearchStrategy[int]:
    return st.integers(0, 2**bits - 1)


plain = st.one_of(
    st.none(),
    st.booleans(),
    signed(64),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=300),
    st.binary(max_size=300),
    st.uuids(),
    unsigned(8).map(UByte),
    unsigned(16).map(UShort),
    unsigned(32).map(UInt),
    unsigned(64).map(ULong),
    signed(8).map(Byte),
    signed(16).map(Short),
    signed(32).map(Int),
    signed(64).map(Timestamp),
    st.text(st.characters(max_codepoint=127), max_size=40).map(Symbol),
)
keys = st.one_of(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), unsigned(32).map(UInt))
values = st.recursive(
    plain,
    lambda inner: st.one_of(
        st.lists(inner, max_size=6),
        st.dictionaries(keys, inner, max_size=4),
        st.builds(Described, unsigned(64).map(ULong), inner),
    ),
    max_leaves=20,
)


@given(values)
def test_what_is_encoded_decodes_to_the_same_with_the_same_types(value: object) -> None:
    encoded = encode(value)
    decoded, end = decode(encoded)
    assert end == len(encoded) == skip(encoded, 0)
    assert decoded == value
    assert type(decoded) is type(value)
    assert encode(decoded) == encoded


@given(st.recursive(plain, lambda inner: st.lists(inner, max_size=5), max_leaves=10))
def test_the_sdks_decoder_reads_what_is_encoded(value: Any) -> None:
    encoded = memoryview(encode(value))
    rest, decoded = _DECODE_BY_CONSTRUCTOR[encoded[0]](encoded[1:])
    assert len(rest) == 0
    assert decoded == as_the_sdk_sees_it(value)


def as_the_sdk_sees_it(value: Any) -> Any:
    if isinstance(value, list):
        return [as_the_sdk_sees_it(item) for item in value]
    return value.encode() if isinstance(value, str) else value


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_raise_a_decode_error(garbage: bytes) -> None:
    for read in (decode, skip):
        try:
            read(garbage, 0)
        except DecodeError:
            continue


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"\x00" * 100,
        b"\xc0\x00\x00",
        b"\xd0\x00\x00\x00\x04\xff\xff\xff\xff",
        b"\xf0\x00\x00\x00\x05\xff\xff\xff\xff\x40",
        b"\xc1\x03\x01\x40",
        b"\xc1\x04\x02\x45\x40\x40",
        b"\xa1\x01\xff",
        b"\xa3\x01\xff",
        b"\xff",
        b"\xb0\x7f\xff\xff\xff",
        b"\x98\x00",
    ],
)
def test_malformed_values_are_refused(wrong: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(wrong)


def test_values_the_broker_does_not_compute_with_pass_through() -> None:
    for encoded in (b"\x72\x00\x00\x80\x3f", b"\x94" + bytes(16), b"\x73\x00\x00\x00A"):
        value, _ = decode(encoded)
        assert isinstance(value, Opaque)
        assert encode(value) == encoded


def test_arrays_pass_through() -> None:
    for array in (symbols("a", "b"), strings("0", "ü"), symbols()):
        decoded, end = decode(array.encoded)
        assert decoded == array
        assert end == len(array.encoded)
        assert encode(decoded) == array.encoded


def test_types_without_an_encoding_are_refused() -> None:
    for value in (object(), {1, 2}, uuid):
        with pytest.raises(TypeError, match="no AMQP encoding"):
            encode(value)

"""Reading the CBOR a platform sends.

Law: any bytes end in a map of typed fields or in a CTAP status, raised as `CtapError`. Only
canonical CBOR is understood (CTAP 2.1, 8): it is encoded again and compared, because the decoder
itself overlooks short strings and repeated keys.
"""

import struct
from collections.abc import Mapping, Sequence
from typing import TypeVar

from fido2 import cbor
from fido2.ctap import CtapError

T = TypeVar("T")

_DECODER_ERRORS = (ValueError, LookupError, TypeError, struct.error, RecursionError, OverflowError)


class Fields:
    """A decoded map whose values are fetched by key and type."""

    def __init__(self, values: Mapping[object, object]) -> None:
        self._values = values

    def require(self, key: object, kind: type[T]) -> T:
        """Fetch a field. CtapError MISSING_PARAMETER or CBOR_UNEXPECTED_TYPE."""
        value = self.find(key, kind)
        if value is None:
            raise CtapError(CtapError.ERR.MISSING_PARAMETER)
        return value

    def find(self, key: object, kind: type[T]) -> T | None:
        """Fetch a field that may be absent. CtapError CBOR_UNEXPECTED_TYPE."""
        value = self._values.get(key)
        if value is None:
            return None
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise CtapError(CtapError.ERR.CBOR_UNEXPECTED_TYPE)
        return value

    def require_map(self, key: object) -> "Fields":
        """Fetch a field that is a map itself."""
        return Fields(self.require(key, dict))

    def find_flags(self, key: object) -> dict[str, bool]:
        """Fetch a map of names to booleans, such as CTAP's options; empty if absent."""
        flags = self.find(key, dict) or {}
        for name, flag in flags.items():
            if not isinstance(name, str) or not isinstance(flag, bool):
                raise CtapError(CtapError.ERR.CBOR_UNEXPECTED_TYPE)
        return flags

    def find_maps(self, key: object) -> "Sequence[Fields]":
        """Fetch a list of maps; empty if absent."""
        return self._read_maps(self.find(key, list) or [])

    def require_maps(self, key: object) -> "Sequence[Fields]":
        """Fetch a list of maps. CtapError MISSING_PARAMETER."""
        return self._read_maps(self.require(key, list))

    def _read_maps(self, items: Sequence[object]) -> "Sequence[Fields]":
        if not all(isinstance(item, dict) for item in items):
            raise CtapError(CtapError.ERR.CBOR_UNEXPECTED_TYPE)
        return [Fields(item) for item in items if isinstance(item, dict)]


def read_fields(data: bytes) -> Fields:
    """Decode the parameters of a command; no bytes at all are an empty map."""
    if not data:
        return Fields({})
    try:
        values = cbor.decode(data)
        is_canonical = cbor.encode(values) == data
    except _DECODER_ERRORS as error:
        raise CtapError(CtapError.ERR.INVALID_CBOR) from error
    if not is_canonical:
        raise CtapError(CtapError.ERR.INVALID_CBOR)
    if not isinstance(values, dict):
        raise CtapError(CtapError.ERR.CBOR_UNEXPECTED_TYPE)
    return Fields(values)


def read_credential_ids(descriptors: Sequence[Fields]) -> list[bytes]:
    """Give the ids of a list of credential descriptors; other types than public-key drop out."""
    return [
        item.require("id", bytes)
        for item in descriptors
        if item.require("type", str) == "public-key"
    ]

"""A small writer of MaxMind DB files (format 2.0): a search tree, its data, and what is in it."""

import ipaddress
import struct

_MARKER = b"\xab\xcd\xefMaxMind.com"
_RECORD = 24
MAP, STRING, DOUBLE, UINT16, UINT32, UINT64, ARRAY = 7, 2, 3, 5, 6, 9, 11


def write_mmdb(path, networks, *, version=6):
    """Write a database that knows the networks, each with its entry; numbers become doubles."""
    nodes = [[None, None]]
    for network, entry in networks.items():
        _insert(nodes, _list_bits(ipaddress.ip_network(network), version), entry)
    data, tree = b"", b""
    for node in nodes:
        for record in node:
            if isinstance(record, _Entry):
                value = len(nodes) + 16 + len(data)
                data += encode(record.value)
            else:
                value = len(nodes) if record is None else record
            tree += value.to_bytes(3, "big")
    metadata = {
        "node_count": (UINT32, len(nodes)),
        "record_size": (UINT16, _RECORD),
        "ip_version": (UINT16, version),
        "database_type": "Test-City",
        "languages": ["en"],
        "binary_format_major_version": (UINT16, 2),
        "binary_format_minor_version": (UINT16, 0),
        "build_epoch": (UINT64, 1_700_000_000),
        "description": {"en": "test"},
    }
    path.write_bytes(tree + bytes(16) + data + _MARKER + encode(metadata))
    return path


class _Entry:
    def __init__(self, value):
        self.value = value


def _list_bits(network, version):
    size = 128 if version == 6 else 32
    length = network.prefixlen + (size - network.max_prefixlen)
    number = int(network.network_address)
    return [number >> (size - 1 - place) & 1 for place in range(length)]


def _insert(nodes, bits, entry):
    node = 0
    for bit in bits[:-1]:
        if nodes[node][bit] is None:
            nodes.append([None, None])
            nodes[node][bit] = len(nodes) - 1
        node = nodes[node][bit]
    nodes[node][bits[-1]] = _Entry(entry)


def encode(value):
    """Return a value in the format's data encoding."""
    match value:
        case tuple():
            kind, number = value
            content = number.to_bytes((number.bit_length() + 7) // 8, "big")
            return _head(kind, len(content)) + content
        case dict():
            pairs = b"".join(encode(key) + encode(one) for key, one in value.items())
            return _head(MAP, len(value)) + pairs
        case list():
            return _head(ARRAY, len(value)) + b"".join(map(encode, value))
        case str():
            return _head(STRING, len(value.encode())) + value.encode()
        case int() | float():
            return _head(DOUBLE, 8) + struct.pack(">d", value)
    raise TypeError(value)


def _head(kind, size):
    if size >= 29:
        size, more = 29, bytes([size - 29])
    else:
        more = b""
    if kind > 7:
        return bytes([size, kind - 7]) + more
    return bytes([kind << 5 | size]) + more

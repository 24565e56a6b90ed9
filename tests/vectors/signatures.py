"""Signatures that must not verify: every family of mistake known from ECDSA and EdDSA verifiers.

The families are those of published test-vector collections; the vectors are made here, from a fresh
valid signature each, so each differs from a valid one in exactly one way.
"""

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
P256_PRIME = 2**256 - 2**224 + 2**192 + 2**96 - 1
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493


def tlv(tag, content, size=None):
    return bytes([tag]) + (make_size(len(content)) if size is None else size) + content


def make_size(number):
    if number < 0x80:
        return bytes([number])
    width = (number.bit_length() + 7) // 8
    return bytes([0x80 | width]) + number.to_bytes(width, "big")


def integer(value):
    return tlv(2, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=value < 0))


def pair(r, s):
    return tlv(0x30, integer(r) + integer(s))


def bad_ecdsa(valid):
    """Yield (what is wrong, signature) from a valid P-256 signature in DER."""
    yield from bad_der(valid)
    yield from bad_numbers(*decode_dss_signature(valid))


def bad_der(valid):
    r, s = decode_dss_signature(valid)
    body = integer(r) + integer(s)
    size = bytes([len(body)])
    padded = b"\0" + r.to_bytes(33, "big")
    yield "empty", b""
    for length in range(1, len(valid)):
        yield f"cut to {length}", valid[:length]
    yield "garbage after it", valid + b"\0"
    yield "garbage inside, counted", tlv(0x30, body + b"\0\0")
    yield "garbage inside, as a NULL", tlv(0x30, body + b"\5\0")
    yield "three integers", tlv(0x30, body + integer(1))
    yield "one integer", tlv(0x30, integer(r))
    yield "no integer", tlv(0x30, b"")
    yield "length in long form", tlv(0x30, body, b"\x81" + size)
    yield "length in longer form", tlv(0x30, body, b"\x82\0" + size)
    yield "indefinite length", tlv(0x30, body, b"\x80") + b"\0\0"
    yield "length one too large", tlv(0x30, body, bytes([len(body) + 1]))
    yield "length one too small", tlv(0x30, body, bytes([len(body) - 1]))
    yield "length of 2^32", tlv(0x30, body, b"\x85\1\0\0\0\0")
    long = tlv(2, integer(r)[2:], bytes([0x81, integer(r)[1]]))
    yield "integer length in long form", tlv(0x30, long + integer(s))
    yield "r with a needless zero", tlv(0x30, tlv(2, padded) + integer(s))
    yield "s with a needless zero", tlv(0x30, integer(r) + tlv(2, b"\0\0" + s.to_bytes(32, "big")))
    yield "r without a byte", tlv(0x30, b"\2\0" + integer(s))
    for tag in (0x00, 0x03, 0x04, 0x05, 0x0A, 0x22, 0x30, 0x82):
        yield f"r tagged {tag:#x}", tlv(0x30, tlv(tag, integer(r)[2:]) + integer(s))
    for tag in (0x10, 0x31, 0x24, 0x02, 0xB0):
        yield f"sequence tagged {tag:#x}", tlv(tag, body)
    yield "a sequence in a sequence", tlv(0x30, tlv(0x30, body))
    yield "r || s, as JOSE has it", r.to_bytes(32, "big") + s.to_bytes(32, "big")
    yield "text", valid.hex().encode()


def bad_numbers(r, s):
    n, p = P256_ORDER, P256_PRIME
    special = (0, 1, -1, n, n - 1, n + 1, p, p + 1, 2**256 - 1, 2**256, 2**1024)
    for one in special:
        for other in special:
            yield f"r={one}, s={other}", pair(one, other)
    for number in special:
        yield f"r={number}", pair(number, s)
        yield f"s={number}", pair(r, number)
    yield "r + n", pair(r + n, s)
    yield "s + n", pair(r, s + n)
    yield "r - n", pair(r - n, s)
    yield "n - r", pair(n - r, s)
    yield "-r", pair(-r, s)
    yield "-s", pair(r, -s)
    yield "r + 2^256", pair(r + 2**256, s)
    yield "swapped", pair(s, r)


def bad_eddsa(valid):
    """Yield (what is wrong, signature) from a valid Ed25519 signature."""
    point, number = valid[:32], int.from_bytes(valid[32:], "little")
    yield "empty", b""
    for length in range(1, 64):
        yield f"cut to {length}", valid[:length]
    yield "garbage after it", valid + b"\0"
    yield "twice", valid + valid
    for times in range(1, 8):
        wrapped = number + times * ED25519_ORDER
        yield f"S + {times} L", point + wrapped.to_bytes(32, "little")
    for bit in (253, 254, 255):
        yield f"S with bit {bit}", point + (number | 1 << bit).to_bytes(32, "little")
    yield "S = 0", point + bytes(32)
    yield "S = L", point + ED25519_ORDER.to_bytes(32, "little")
    yield "R = 0", bytes(32) + valid[32:]
    yield "R = 1, S = 0", b"\1" + bytes(63)
    yield "R with its sign turned", point[:31] + bytes([point[31] ^ 0x80]) + valid[32:]
    yield "R not canonical", b"\xff" * 31 + b"\x7f" + valid[32:]
    yield "swapped", valid[32:] + point
    yield "text", valid.hex().encode()

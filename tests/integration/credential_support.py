"""A credential like any other, for the tests of the store."""

from dataclasses import replace

from stepupd.core.model import Credential

KEY = b"k" * 32


def make_credential(number=1, **changes):
    credential = Credential(
        id=b"id-%d" % number,
        subject_uid=1000,
        name=f"key {number}",
        rp_id="host.0a1b2c.stepup",
        public_key=b"\xa5\x01" + bytes(70),
        aaguid=bytes(range(16)),
        sign_count=number,
        created=float(number),
    )
    return replace(credential, **changes)

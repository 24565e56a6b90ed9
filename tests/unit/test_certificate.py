"""Attestation certificates: which leaves and chains vouch for a registration."""

from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from fido2 import cbor

from stepupd.core.errors import ConfigError
from stepupd.core.model import Reason
from tests.vectors.refusal import reason_of
from tests.vectors.webauthn.enrolment import KEY, MAKER, Chain, check, register
from tests.vectors.webauthn.soft_key import (
    CA,
    LEAF_SUBJECT,
    NO_CA,
    ROOT_SUBJECT,
    Maker,
    make_aaguid_extension,
    make_certificate,
    make_key_usage,
    make_private_key,
)

BAD = Reason.BAD_ATTESTATION
CONSTRAINTS = (NO_CA, True)


def assert_refused(reason, reply, **changes):
    assert reason == reason_of(check, reply, **changes)


def test_an_intermediate_is_followed():
    """Leaf, intermediate, root; the intermediate is in the statement."""
    middle_key = make_private_key()
    middle_name = ((NameOID.COMMON_NAME, "Example Middle"),)
    extensions = ((CA, True), (make_key_usage(cert_sign=True), True))
    middle = make_certificate(middle_name, middle_key, ROOT_SUBJECT, MAKER.root_key, extensions)
    leaf_key = make_private_key()
    leaf = make_certificate(LEAF_SUBJECT, leaf_key, middle_name, middle_key, (CONSTRAINTS,))

    assert check(register(Chain(leaf_key, [leaf, middle])), roots=(MAKER.root,)).is_attested
    assert_refused(BAD, register(Chain(leaf_key, [leaf])), roots=(MAKER.root,))


def test_a_chain_has_up_to_four_certificates():
    """More is refused below; no maker needs it."""
    assert not check(register(Chain(MAKER.leaf_key, MAKER.chain * 4))).is_attested


@pytest.mark.parametrize(
    "x5c",
    [
        [],
        b"",
        None,
        {},
        [7],
        [b""],
        [b"\x30\x00"],
        MAKER.chain[0],
        [MAKER.chain[0] + b"\0"],
        [MAKER.chain[0][:-1]],
        MAKER.chain * 5,
        ["text"],
    ],
)
@pytest.mark.parametrize("style", ["packed", "fido-u2f"])
def test_certificates_of_another_shape_are_refused(style, x5c):
    """None, too many, or none at all under the name."""
    statement = cbor.decode(register(style=style).attestation_object)["attStmt"]
    changed = {key: value for key, value in statement.items() if key != "x5c"}
    changed |= {} if x5c is None and style == "packed" else {"x5c": False if x5c is None else x5c}

    assert_refused(BAD, register(style=style, statement=changed))


@pytest.mark.parametrize(
    "maker",
    [
        Maker(subject=LEAF_SUBJECT[1:]),
        Maker(subject=LEAF_SUBJECT[:3]),
        Maker(subject=(*LEAF_SUBJECT, LEAF_SUBJECT[2])),
        Maker(
            subject=(*LEAF_SUBJECT[:2], (NameOID.ORGANIZATIONAL_UNIT_NAME, "Web"), LEAF_SUBJECT[3])
        ),
        Maker(extensions=()),
        Maker(extensions=((CA, True),)),
        Maker(extensions=(CONSTRAINTS, (make_aaguid_extension(bytes(16)), False))),
        Maker(extensions=(CONSTRAINTS, (make_aaguid_extension(KEY.aaguid), True))),
        Maker(extensions=(CONSTRAINTS, (make_aaguid_extension(KEY.aaguid, b""), False))),
        Maker(extensions=(CONSTRAINTS, (make_aaguid_extension(KEY.aaguid + b"\0"), False))),
    ],
    ids=[
        "no country",
        "no common name",
        "two units",
        "another unit",
        "no basic constraints",
        "an authority",
        "another AAGUID",
        "a critical AAGUID",
        "an AAGUID that is not wrapped",
        "an AAGUID with more",
    ],
)
def test_a_packed_leaf_meets_the_requirements(maker):
    """WebAuthn Level 3 section 8.2.1, with roots and without."""
    assert_refused(BAD, register(maker))
    assert_refused(BAD, register(maker), roots=(maker.root,))


def test_a_stated_aaguid_that_matches_is_fine():
    """id-fido-gen-ce-aaguid equal to the AAGUID of the credential."""
    maker = Maker(extensions=(CONSTRAINTS, (make_aaguid_extension(KEY.aaguid), False)))

    assert check(register(maker), roots=(maker.root,)).is_attested


def test_a_leaf_of_another_version_is_refused():
    """Version 2 by its number, version 1 by leaving the number out; no signature hides it."""
    leaf, number = MAKER.chain[0], b"\xa0\x03\x02\x01\x02"
    version_2 = leaf.replace(number, number[:4] + b"\x01", 1)
    body = leaf[8:].removeprefix(number)
    version_1 = b"".join(
        (
            b"\x30\x82" + (len(leaf) - 4 - len(number)).to_bytes(2, "big"),
            b"\x30\x82" + (int.from_bytes(leaf[6:8], "big") - len(number)).to_bytes(2, "big"),
            body,
        )
    )
    assert x509.load_der_x509_certificate(version_1).version is x509.Version.v1

    assert_refused(BAD, register(Chain(MAKER.leaf_key, [version_2])))
    assert_refused(BAD, register(Chain(MAKER.leaf_key, [version_1])))


@pytest.mark.parametrize(
    ("maker", "roots"),
    [
        (MAKER, (Maker().root,)),
        (MAKER, (MAKER.chain[0],)),
        (replace(MAKER, end=(2025, 1, 1)), (MAKER.root,)),
        (MAKER, (replace(MAKER, root_extensions=()).root,)),
        (MAKER, (replace(MAKER, root_extensions=((NO_CA, True),)).root,)),
        (
            MAKER,
            (
                replace(
                    MAKER, root_extensions=((CA, True), (make_key_usage(cert_sign=False), True))
                ).root,
            ),
        ),
        (
            Maker(
                extensions=(
                    CONSTRAINTS,
                    (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\5\0"), True),
                )
            ),
            None,
        ),
    ],
    ids=[
        "another root of the same name",
        "the leaf as its own root",
        "expired",
        "a root without constraints",
        "a root that is no authority",
        "a root that must not issue",
        "an unknown critical extension",
    ],
)
@pytest.mark.parametrize("style", ["packed", "fido-u2f"])
def test_a_chain_that_does_not_hold_is_refused(style, maker, roots):
    """With roots configured, certificates that lead to none of them are no registration."""
    roots = (maker.root,) if roots is None else roots

    assert_refused(BAD, register(maker, style), roots=roots)


@pytest.mark.parametrize("now_wall", [0.0, 1e10, float("nan"), 1e30])
def test_a_chain_is_judged_at_the_given_time(now_wall):
    """Before it, after it, and at no time at all."""
    assert_refused(BAD, register(), roots=(MAKER.root,), now_wall=now_wall)


def test_a_leaf_is_no_issuer():
    """A leaf that signs another leaf is not an intermediate."""
    second_key = make_private_key()
    second = make_certificate(
        LEAF_SUBJECT, second_key, LEAF_SUBJECT, MAKER.leaf_key, (CONSTRAINTS,)
    )

    assert_refused(BAD, register(Chain(second_key, [second, MAKER.chain[0]])), roots=(MAKER.root,))


def test_a_root_that_is_none_is_the_administrators_fault():
    """Whatever the registration is worth: nobody blames the key for it."""
    for root in (b"", b"not a certificate", MAKER.root[:-1]):
        with pytest.raises(ConfigError):
            check(KEY.make_registration(), roots=(root,))

"""`stepupd.toml`: what it leaves out is the strict choice, what is wrong in it is shown."""

import os
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from stepupd.core.errors import ConfigError
from stepupd.devices.turns import WAITING, WAITING_PER_OWNER
from stepupd.store.configuration import load_settings
from stepupd.store.settings import MOST, Limits, Settings


def read_settings_text(tmp_path, text):
    (tmp_path / "stepupd.toml").write_text(text, encoding="utf-8")
    return load_settings(tmp_path)


def test_settings_default_to_the_strict_side(tmp_path):
    settings = load_settings(tmp_path)

    assert settings.trusted_uids == settings.trusted_groups == frozenset()
    assert settings.pushing_uids == settings.pushing_groups == frozenset()
    assert settings.attestation_roots == ()
    assert settings.rp_id is None


def test_settings_are_read(tmp_path):
    settings = read_settings_text(
        tmp_path,
        'rp_id = "fleet.example.org"\n[callers]\nmay_name_others = [33, "operators"]\n'
        'may_push_events = [990, "detectors"]\n'
        "[limits]\nrequests = 10\nrequests_per_uid = 2",
    )

    assert settings == Settings(
        rp_id="fleet.example.org",
        trusted_uids=frozenset({33}),
        trusted_groups=frozenset({"operators"}),
        pushing_uids=frozenset({990}),
        pushing_groups=frozenset({"detectors"}),
        limits=Limits(requests=10, requests_per_uid=2),
    )


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ('rp_id = "Fleet"', 1, 1),
        ("[callers]\nmay_name_others = [1, 65534]", 2, 23),
        ("[callers]\nmay_name_others = [-1]", 2, 20),
        ('[callers]\nmay_name_others = ["0"]', 2, 20),
        ('[callers]\nmay_name_others = "ops"', 2, 1),
        ("[callers]\nmay_push_events = [1, 65534]", 2, 23),
        ('[callers]\nmay_push_events = ["0"]', 2, 20),
        ('[callers]\nmay_push_events = "ops"', 2, 1),
        ("[limits]\nrequests = 0", 2, 1),
        ("[limits]\nrequests = 65", 2, 1),
        ("[limits]\nrequests_per_uid = 5", 2, 1),
        ("[limits]\nrequest = 1", 2, 1),
        ('[attestation]\nroots = ["roots.pem"]', 2, 10),
        ('[attestation]\nroots = ["/nonexistent.pem"]', 2, 10),
        ("[atestation]", 1, 2),
    ],
)
def test_a_wrong_setting_is_shown_where_it_is(tmp_path, text, line, column):
    with pytest.raises(ConfigError) as caught:
        read_settings_text(tmp_path, text)

    assert (caught.value.line, caught.value.column) == (line, column)


def test_no_limit_promises_more_than_the_queue_at_the_keys_holds():
    assert MOST == {"requests": WAITING, "requests_per_uid": 1 + WAITING_PER_OWNER}
    assert Limits() == Limits(**MOST)


def make_certificate():
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a maker")])
    start = datetime(2025, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1)
    builder = builder.not_valid_before(start).not_valid_after(start + timedelta(days=1))
    return builder.sign(key, hashes.SHA256())


def test_attestation_roots_are_read_as_der(tmp_path):
    certificates = [make_certificate(), make_certificate()]
    file = tmp_path / "roots.pem"
    file.write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in certificates))

    settings = read_settings_text(tmp_path, f'[attestation]\nroots = ["{file}"]')

    assert settings.attestation_roots == tuple(
        each.public_bytes(Encoding.DER) for each in certificates
    )


def test_an_attestation_root_others_can_change_is_refused(tmp_path):
    file = tmp_path / "roots.pem"
    file.write_bytes(make_certificate().public_bytes(Encoding.PEM))
    file.chmod(0o666)

    with pytest.raises(ConfigError, match=r"stepupd.toml:2:10: .*0666") as caught:
        read_settings_text(tmp_path, f'[attestation]\nroots = ["{file}"]')

    assert caught.value.hint == f"chmod 0644 {file}"
    assert os.access(file, os.R_OK)

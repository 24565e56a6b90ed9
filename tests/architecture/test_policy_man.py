"""stepupd-policy(5) names exactly what the code reads, and what it says is true."""

import re
import subprocess
from pathlib import Path

import msgspec
import pytest

from stepupd.core.model import Level, Method, Requirement, Scope
from stepupd.core.policy import Mode, Score
from stepupd.core.risk.advice import DEADLINE, LONGEST_DEADLINE
from stepupd.core.risk.signals import SIGNALS
from stepupd.store import adviser_table, policy_file, risk_table, toml_files
from stepupd.store.adviser_table import AdviserEntry
from stepupd.store.geo_table import GeoEntry
from stepupd.store.policy_entries import (
    PolicyEntry,
    PolicyTable,
    RiskEntry,
    RuleEntry,
    RungEntry,
    TestEntry,
)
from stepupd.store.policy_file import make_policy
from stepupd.store.settings import (
    AttestationEntry,
    CallersEntry,
    EnrolmentEntry,
    Limits,
    LimitsEntry,
    SessionsEntry,
    SettingsEntry,
)
from stepupd.store.toml_files import parse_document

PAGE = Path(__file__).parents[2] / "man" / "stepupd-policy.5"
TEXT = PAGE.read_text(encoding="utf-8")
ENTRIES = (RuleEntry, RiskEntry, RungEntry, CallersEntry, LimitsEntry, AttestationEntry)
ENTRIES += (AdviserEntry, EnrolmentEntry, GeoEntry, SessionsEntry, PolicyTable, TestEntry)
TABLES = {
    "policy",
    "test",
    "rule",
    "risk",
    "callers",
    "limits",
    "attestation",
    "adviser",
    "geo",
    "sessions",
    "enrolment",
}


def list_fields(*entries):
    return {field.encode_name for entry in entries for field in msgspec.structs.fields(entry)}


def list_items(macro):
    """Return what the lists of the page describe with that macro."""
    return set(re.findall(rf"^\.It {macro} (\S+)", TEXT, re.MULTILINE))


def read_section(name):
    return re.search(rf"^\.Sh {name}\n(.*?)(?=^\.Sh |\Z)", TEXT, re.MULTILINE | re.DOTALL)[1]


def test_every_key_is_described_and_no_other():
    keys = list_fields(*ENTRIES) | (list_fields(SettingsEntry) - TABLES)

    assert list_items("Ic") == keys
    for key in list_fields(RungEntry):
        assert f".Ic {key}" in read_section("RISK")


def test_every_table_is_described_and_no_other():
    tables = list_fields(PolicyEntry) | (list_fields(SettingsEntry) - {"rp_id"})

    assert tables == TABLES
    assert set(re.findall(r"^\.Ic \[+(\w+)\]+", TEXT, re.MULTILINE)) == TABLES


def test_every_word_is_described_and_no_other():
    assert list_items("Cm") == {level.word for level in Level} | SIGNALS.keys()
    for word in (
        *Scope,
        *Mode,
        *Score,
        Method.FIDO2,
    ):  # a recovery code is no method that a rule names
        assert f".Cm {word.value}\n" in TEXT or f".Cm {word.value} " in TEXT


def test_every_signal_is_described_in_its_own_words():
    items = re.findall(
        r"^\.It Cm (\w+) Pq (\d+)\n(.*?)(?=^\.(?:It|El))", TEXT, re.MULTILINE | re.DOTALL
    )
    described = {name: (int(weight), " ".join(text.split())) for name, weight, text in items}

    assert described == {
        name: (kind.weight, f"{kind.meaning[0].upper()}{kind.meaning[1:]}.")
        for name, kind in SIGNALS.items()
    }


@pytest.mark.parametrize(
    "sentence",
    [
        f"from {policy_file.ATTEMPTS[0]} to {policy_file.ATTEMPTS[-1]}",
        f"from {policy_file.DEADLINE[0]} to {policy_file.DEADLINE[1]} seconds",
        f"up to {policy_file.MAX_AGE // 3600} hours",
        f"1 to {policy_file.MAX_NAME} characters",
        f"from 1 to {risk_table.MAX_SCORE}",
        f"from 0 to {risk_table.MAX_SCORE}",
        f"at most {toml_files.MAX_FILE_SIZE >> 20} MiB",
        f"Default: {Requirement(Level.TOUCH).attempts}.",
        f"Default: {Requirement(Level.TOUCH).deadline} seconds.",
        f"from {adviser_table.SHORTEST_DEADLINE} to {LONGEST_DEADLINE:.0f} seconds",
        f"up to {adviser_table.MOST_ADVISERS}, and",
        f"Default: {DEADLINE:.0f} second.",
        f"Default: {Limits().requests}.",
        f"Default: {Limits().requests_per_uid}.",
    ],
)
def test_every_number_is_the_codes(sentence):
    assert sentence in " ".join(TEXT.split())


def test_the_examples_are_policies():
    examples = re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", TEXT, re.MULTILINE | re.DOTALL)

    assert len(examples) == 2
    for example in examples:
        make_policy((parse_document("example", example.encode()),))


def test_mandoc_has_no_complaint():
    told = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", str(PAGE)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (told.returncode, told.stdout) == (0, "")

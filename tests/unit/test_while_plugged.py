"""`while_plugged`: what policy may say, which grants it makes, and which ones it takes."""

import subprocess
import sys
from dataclasses import replace

import pytest
from core_support import NONCE, NOW, make_grant, make_request
from hypothesis import given
from hypothesis import strategies as st

from stepupd.core import grants
from stepupd.core.errors import ConfigError
from stepupd.core.grants import covers, drop_pulled
from stepupd.core.model import Level, Method, Requirement, Scope
from stepupd.core.policy import join_requirements
from stepupd.core.record import describe_grant
from stepupd.host.clock import read_clock
from stepupd.store.configuration import load_settings
from stepupd.store.grants import GrantStore
from stepupd.store.policy_file import make_policy
from stepupd.store.toml_files import parse_document

HEAD = '[[rule]]\nname = "a"\naction = "pam:sudo"\n'
KEPT = 'require = "touch"\nmax_age = "10m"\nscope = "session"\n'
STAY = "0003:1050:0407.0005 hidraw0"
BOUND = Requirement(Level.TOUCH, 600, Scope.SESSION, while_plugged=True)


def read(text):
    return make_policy((parse_document("/etc/p.toml", (HEAD + text).encode()),)).rules[0]


def test_a_rule_may_bind_what_it_keeps():
    """True, false and left out mean what they say."""
    for written, meant in (
        ("while_plugged = true", True),
        ("while_plugged = false", False),
        ("", False),
    ):
        assert read(KEPT + written).requirement.while_plugged is meant


@pytest.mark.parametrize(
    "text",
    [
        'require = "touch"\nwhile_plugged = true',
        "allow = true\nwhile_plugged = true",
        "deny = true\nwhile_plugged = false",
        KEPT + "while_plugged = 1",
        KEPT + 'while_plugged = "yes"',
    ],
)
def test_what_binds_nothing_is_an_error_that_says_where(text):
    with pytest.raises(ConfigError) as caught:
        read(text)

    assert caught.value.line == 3 + len(text.split("\n"))


@given(st.booleans(), st.booleans())
def test_of_two_requirements_the_stricter_binds(one, other):
    joined = join_requirements(
        replace(BOUND, while_plugged=one), replace(BOUND, while_plugged=other)
    )

    assert joined.while_plugged == (one or other)


class Proof:
    """What `make_grant` reads of evidence."""

    level = Level.TOUCH
    method = Method.FIDO2
    credential_id = b"credential"


def earn(requirement, authenticator):
    return grants.make_grant(
        make_request(), requirement, Proof(), NOW, NONCE, authenticator=authenticator
    )


def test_a_bound_grant_names_the_stay_it_ends_with():
    assert earn(BOUND, STAY).plugged_as == STAY
    assert earn(replace(BOUND, while_plugged=False), STAY).plugged_as == ""


def test_without_a_plugged_in_key_nothing_bound_is_kept():
    """Empty means no: what has no stay cannot end with one."""
    assert earn(BOUND, "") is None
    assert earn(replace(BOUND, while_plugged=False), "") is not None


def test_todays_requirement_decides():
    """A grant that is not bound stands in for nothing that has to be."""
    loose, bound = make_grant(), make_grant(plugged_as=STAY)
    request = make_request()

    assert not covers(loose, request, BOUND, NOW)
    assert covers(bound, request, BOUND, NOW)
    assert covers(bound, request, replace(BOUND, while_plugged=False), NOW)


def test_pulled_is_whatever_is_not_plugged_in():
    loose, bound = make_grant(), make_grant(plugged_as=STAY)

    assert drop_pulled((loose, bound), frozenset({STAY, "other"})) == (loose, bound)
    assert drop_pulled((loose, bound), frozenset({STAY + "1"})) == (loose,)
    assert drop_pulled((loose, bound), frozenset()) == (loose,)


def test_the_stay_survives_a_restart_of_the_daemon(tmp_path):
    tmp_path.chmod(0o700)
    store = GrantStore(tmp_path)
    store.add(make_grant(plugged_as=STAY))
    store.add(make_grant(id="0f", subject_uid=7))
    store.close()
    again = GrantStore(tmp_path)

    assert [grant.plugged_as for grant in again.list_bound()] == [STAY]
    assert again.list_grants(1000, NOW)[0].plugged_as == STAY
    again.close()


def test_the_log_says_that_a_grant_is_bound_and_not_to_what():
    assert describe_grant(make_grant(plugged_as=STAY))["while_plugged"] is True
    assert "while_plugged" not in describe_grant(make_grant())
    assert STAY not in str(describe_grant(make_grant(plugged_as=STAY)))


def test_sessions_are_locked_only_where_the_administrator_says_so(tmp_path):
    assert not load_settings(tmp_path).lock_on_removal
    (tmp_path / "stepupd.toml").write_text("[sessions]\nlock_on_removal = true\n")
    assert load_settings(tmp_path).lock_on_removal
    (tmp_path / "stepupd.toml").write_text("[sessions]\nlock_on_removal = 1\n")
    with pytest.raises(ConfigError):
        load_settings(tmp_path)


def test_the_time_asleep_is_that_of_the_boot_clock():
    """In a time namespace whose boot clock is eight hours ahead, we slept eight hours more."""
    code = "from stepupd.host.clock import read_clock; print(read_clock().asleep)"
    done = subprocess.run(
        ["unshare", "--time", "--boottime", "28800", "--fork", sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip(f"no time namespace here: {done.stderr.strip()}")

    assert float(done.stdout) - read_clock().asleep == pytest.approx(28800, abs=1)
    assert read_clock().asleep == pytest.approx(read_clock().asleep, abs=0.05)

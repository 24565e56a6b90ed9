"""Attacks on what the administrator wrote: broken, misread, replaced, linked away, reloaded."""

import os
import shutil
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepupd.core.decision import Allow, Deny, StepUp
from stepupd.core.errors import ConfigError
from stepupd.core.model import (
    Caller,
    Door,
    Moment,
    Reason,
    Risk,
    StepUpRequest,
    Subject,
)
from stepupd.core.policy import decide
from stepupd.store.configuration import load_policy
from stepupd.store.policy_file import make_policy
from stepupd.store.toml_files import parse_document

NOW = Moment(wall=1_000_000.0, boot=500.0, boot_id="boot-1")
STRANGER = 1234


def make_request(action="pam:sudo"):
    return StepUpRequest(Subject(1000, "ada"), Caller(0, 1, Door.RELAY), action)


def write_policy(directory, text='[[rule]]\nname = "a"\naction = "*"\nallow = true\n'):
    file = directory / "policy.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_attack_004_a_broken_policy_is_an_error_and_a_missing_one_denies(tmp_path):
    """Nothing an attacker can do to the file turns into a yes."""
    file = write_policy(tmp_path)
    for junk in (b"\0" * 50, os.urandom(200) + b"\xff", file.read_bytes()[:-3]):
        file.write_bytes(junk)
        with pytest.raises(ConfigError):
            load_policy(tmp_path)
    file.unlink()

    decision = decide(load_policy(tmp_path), make_request(), Risk(), (), NOW)

    assert decision == Deny(Reason.NO_RULE, "")


rules = st.lists(
    st.tuples(st.sampled_from(["pam:sudo", "pam:*", "x"]), st.sampled_from(["touch", "verify"])),
    max_size=4,
)


def read_rules(written):
    text = "".join(
        f'[[rule]]\nname = "{number}"\naction = "{action}"\nrequire = "{level}"\n'
        for number, (action, level) in enumerate(written)
    )
    return make_policy((parse_document("f", text.encode()),))


@given(rules)
def test_attack_107_what_no_rule_names_is_denied(written):
    """The default is no, whatever the rules are."""
    decision = decide(read_rules(written), make_request("y"), Risk(), (), NOW)

    assert decision == Deny(Reason.NO_RULE, "")


@given(rules, rules)
def test_attack_107_a_rule_added_below_changes_nothing_above(written, added):
    """Rules count from the top: an addition at the end answers only what nothing answered."""
    before = decide(read_rules(written), make_request(), Risk(), (), NOW)
    after = decide(read_rules([*written, *added]), make_request(), Risk(), (), NOW)

    assert after == before or before == Deny(Reason.NO_RULE, "")


@pytest.mark.parametrize(
    "text",
    [
        '[[rule]]\nname = "a"\naction = "*"\nallow = true\nrequired = "touch"',
        '[[rule]]\nname = "a"\naction = "*"\nallow = true\nallow = true',
        '[[rule]]\nname = "a"\naction = "*"\nallow = "yes"',
        '[[rule]]\nname = "a"\naction = "*"',
        '[[rule]]\nname = "a"\nallow = true',
        '[[rule]]\nname = "a"\naction = "*"\nallow = true\nsubject = []',
        '[[rule]]\nname = "a"\naction = "*"\nallow = true\nsubject = ""',
        '[[rule]]\nname = "a"\naction = "*"\nallow = true\ncommand = "/bin/true"',
        "[policy]\ndefault = 'allow'",
    ],
)
def test_attack_107_a_policy_that_could_be_misread_is_refused(text):
    """Unknown and duplicate keys, two meanings, none, lists of nobody, trust in a claim."""
    with pytest.raises(ConfigError):
        make_policy((parse_document("f", text.encode()),))


@pytest.fixture
def etc(tmp_path):
    """Make a configuration directory with a policy in it."""
    directory = tmp_path / "etc"
    (directory / "policy.d").mkdir(parents=True)
    write_policy(directory)
    write_policy(directory / "policy.d", "").rename(directory / "policy.d" / "more.toml")
    load_policy(directory)
    return directory


@pytest.mark.parametrize("name", ["policy.toml", "policy.d/more.toml", "policy.d", "."])
@pytest.mark.parametrize("bits", [0o020, 0o002], ids=["group", "others"])
def test_attack_108_a_policy_that_others_can_change_is_refused(etc, name, bits):
    file = etc / name
    file.chmod(file.stat().st_mode | bits)

    with pytest.raises(ConfigError) as caught:
        load_policy(etc)

    assert caught.value.hint.startswith("chmod ")


@pytest.mark.parametrize("name", ["policy.toml", "policy.d/more.toml", "policy.d", ".", ".."])
def test_attack_108_a_policy_under_another_user_is_refused(etc, name):
    os.chown(etc / name, STRANGER, -1)
    try:
        with pytest.raises(ConfigError) as caught:
            load_policy(etc)
    finally:
        os.chown(etc / name, 0, -1)

    assert caught.value.hint.startswith("chown 0 ")


def test_attack_108_an_acl_that_lets_others_write_shows_in_the_mode(etc):
    """POSIX ACLs put their mask into the group bits: no need to read them."""
    if shutil.which("setfacl") is None:
        acl = bytes.fromhex(
            "02000000 01000600ffffffff 02000600d2040000 04000400ffffffff"
            "10000600ffffffff 20000400ffffffff"
        )
        os.setxattr(etc / "policy.toml", "system.posix_acl_access", acl)

    with pytest.raises(ConfigError, match="changed by other users"):
        load_policy(etc)


def test_attack_108_a_link_is_followed_only_to_a_place_that_is_ours(etc, tmp_path):
    """To our own file: yes. Through a stranger's directory, however deep: no."""
    ours = tmp_path / "ours"
    ours.mkdir()
    target = write_policy(ours)
    (etc / "policy.toml").unlink()
    (etc / "policy.toml").symlink_to("../ours/policy.toml")
    assert load_policy(etc).rules

    os.chown(ours, STRANGER, -1)
    with pytest.raises(ConfigError):
        load_policy(etc)

    os.chown(ours, 0, -1)
    (etc / "policy.toml").unlink()
    (etc / "policy.toml").symlink_to(target)
    assert load_policy(etc).rules
    os.chown(target, STRANGER, -1)
    with pytest.raises(ConfigError):
        load_policy(etc)


def test_attack_108_a_link_in_a_shared_directory_is_refused(tmp_path):
    """Anyone may have placed it there; so may a file, by a hard link to one of ours."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    inner = shared / "inner"
    inner.mkdir(mode=0o700)
    write_policy(inner)
    assert load_policy(inner).rules  # A real directory of ours in /tmp is fine.

    (shared / "link").symlink_to(inner)
    with pytest.raises(ConfigError, match="writable by others"):
        load_policy(shared / "link")
    os.link(inner / "policy.toml", shared / "policy.toml")
    with pytest.raises(ConfigError, match=r"changed by other users|writable by others"):
        load_policy(shared)


def test_attack_108_links_in_a_circle_end(etc):
    (etc / "policy.toml").unlink()
    (etc / "policy.toml").symlink_to("policy.toml")

    with pytest.raises(ConfigError):
        load_policy(etc)


GOOD = (
    '[[rule]]\nname = "one"\naction = "*"\nallow = true\n',
    '[[rule]]\nname = "two"\naction = "*"\nrequire = "verify"\n',
    '[[rule]]\nname = "three"\naction = "*"\ndeny = true\n',
)
BAD = ("[[rule]]\nname = 1", "[[", "[[rule]]\nname = 'x'\naction = '*'\nallow = true\nwhy = 1")


def test_attack_113_each_decision_is_made_by_one_whole_policy(etc):
    """Threads decide while good and bad files alternate; a bad one never replaces a good one."""
    known = {make_digest(etc, text): text for text in GOOD}
    current = [load_policy(etc, is_reload=True)]
    stop = threading.Event()
    wrong = []

    def decide_always():
        while not stop.is_set():
            policy = current[0]
            decision = decide(policy, make_request(), Risk(), (), NOW)
            expected = {"one": Allow, "two": StepUp, "three": Deny}[policy.rules[0].name]
            if policy.digest not in known or not isinstance(decision, expected):
                wrong.append((policy, decision))

    threads = [threading.Thread(target=decide_always) for _ in range(2)]
    for thread in threads:
        thread.start()
    refused = 0
    for number in range(36):
        replace_policy(etc, (GOOD if number % 2 == 0 else BAD)[number // 2 % 3])
        try:
            current[0] = load_policy(etc, is_reload=True)
        except ConfigError:
            refused += 1
    stop.set()
    for thread in threads:
        thread.join()

    assert wrong == []
    assert refused == 18


def replace_policy(directory, text):
    temporary = directory / "policy.new"
    temporary.write_text(text, encoding="utf-8")
    temporary.rename(directory / "policy.toml")


def make_digest(directory, text):
    replace_policy(directory, text)
    return load_policy(directory).digest


def plant_link(path, victim):
    path.symlink_to(victim)


def plant_fifo(path, _victim):
    os.mkfifo(path)


def plant_device(path, _victim):
    os.mknod(path, 0o20600, os.makedev(1, 3))


@pytest.mark.parametrize("plant", [plant_link, plant_fifo, plant_device])
def test_attack_126_what_is_no_file_is_not_read(etc, tmp_path, plant):
    """A FIFO does not hang us, a device is not opened, a stranger's file not followed to."""
    victim = tmp_path / "victim"
    victim.write_text('[[rule]]\nname = "a"\naction = "*"\nallow = true', encoding="utf-8")
    os.chown(victim, STRANGER, -1)
    for name in ("policy.toml", "policy.d/more.toml"):
        (etc / name).unlink()
        plant(etc / name, victim)
        with pytest.raises(ConfigError):
            load_policy(etc)
        (etc / name).unlink()
        (etc / name).write_bytes(b"")


def test_attack_126_a_file_swapped_for_a_link_meanwhile_is_never_read(etc, tmp_path):
    """Whoever wins the race, the stranger's text never becomes the policy."""
    evil = write_policy(tmp_path, '[[rule]]\nname = "evil"\naction = "*"\nallow = true\n')
    os.chown(evil, STRANGER, -1)
    stop = threading.Event()

    def swap_always():
        while not stop.is_set():
            (etc / "new").symlink_to(evil)
            (etc / "new").rename(etc / "policy.toml")
            replace_policy(etc, GOOD[0])

    thread = threading.Thread(target=swap_always)
    thread.start()
    names = set()
    refused = 0
    for _ in range(1500):
        try:
            names.add(load_policy(etc, is_reload=True).rules[0].name)
        except ConfigError:
            refused += 1
    stop.set()
    thread.join()

    assert "evil" not in names
    assert names or refused

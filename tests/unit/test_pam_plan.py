"""Where our line goes: never a stack that locks everybody out or lets everybody in (attack 18)."""

from itertools import product

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from stepup.pam.dispatch import run
from stepup.pam.flat_stack import flatten
from stepup.pam.judgement import Key
from stepup.pam.modules import WRONG, Role, find_role, list_codes, may_let_in_alone
from stepup.pam.plan import Way, plan_edit, plan_removal, remove_module
from stepup.pam.stack_file import StackError, parse_file

COMMON_AUTH = b"""\
# here are the per-package modules (the "Primary" block)
auth	[success=1 default=ignore]	pam_unix.so nullok
auth	requisite			pam_deny.so
auth	required			pam_permit.so
auth	optional			pam_cap.so\x20
"""
FILES = {"common-auth": COMMON_AUTH, "common-account": b"account required pam_unix.so\n"}
SERVICES = {
    "sudo": b"#%PAM-1.0\nsession required pam_limits.so\n\n"
    b"@include common-auth\n@include common-account\n",
    "su": b"auth sufficient pam_rootok.so\n@include common-auth\nsession required pam_env.so\n",
    "login": b"auth optional pam_faildelay.so delay=3000000\nauth requisite pam_nologin.so\n"
    b"@include common-auth\nauth optional pam_group.so\n",
    "sshd": b"@include common-auth\naccount required pam_nologin.so\n",
    "gdm-password": b"auth requisite pam_nologin.so\n"
    b"auth required pam_succeed_if.so user != root quiet_success\n"
    b"@include common-auth\nauth optional pam_gnome_keyring.so\n",
    "sddm": b"auth requisite pam_nologin.so\nauth substack common-auth\n"
    b"-auth optional pam_kwallet5.so\n",
    "polkit-1": b"@include common-auth\n@include common-account\n",
}
LIGHTDM = (
    b"auth requisite pam_nologin.so\nauth sufficient pam_succeed_if.so user ingroup nopasswdlogin\n"
    b"@include common-auth\n"
)


def plan(text, way=Way.AFTER, files=FILES):
    return plan_edit("service", text, files, way)


def find_line(content):
    lines = [line for line in content.decode().splitlines() if line and line[0] != "#"]
    (number,) = [n for n, line in enumerate(lines) if "pam_stepup.so" in line]
    return lines[number - 1] if number else "", lines[number], [*lines, ""][number + 1]


@pytest.mark.parametrize("service", SERVICES)
def test_the_key_comes_right_after_the_password(service):
    """In every usual service of Debian; nothing else of the file changes."""
    planned = plan(SERVICES[service])

    above, line, _ = find_line(planned.content)
    assert "common-auth" in above
    assert line == "auth\trequired\tpam_stepup.so"
    assert planned.warnings == ()
    assert remove_module("service", planned.content) == SERVICES[service]


@pytest.mark.parametrize("service", SERVICES)
def test_or_right_before_it_in_its_place(service):
    """Gates above still count, and without the daemon there is the password."""
    planned = plan(SERVICES[service], Way.INSTEAD)

    _, line, below = find_line(planned.content)
    control = "[success=done ignore=ignore authinfo_unavail=ignore default=die]"
    assert line == f"auth\t{control}\tpam_stepup.so"
    assert "common-auth" in below
    assert remove_module("service", planned.content) == SERVICES[service]


def test_who_passes_a_gate_that_skips_the_rest_is_told():
    """Lightdm lets a group in without a password: that was so before, and it is said."""
    assert plan(LIGHTDM).warnings == ("whoever passes pam_succeed_if.so needs no key",)


def test_another_way_in_is_told():
    """A finger that suffices needs no key."""
    text = b"auth sufficient pam_fprintd.so\n@include common-auth\n"

    assert plan(text).warnings == ("whoever passes pam_fprintd.so needs no key",)


def test_the_line_is_not_put_where_a_jump_would_miss_it():
    """Two password modules that jump: the place between them would lock one of them out."""
    text = (
        b"auth [success=2 default=ignore] pam_unix.so\nauth [success=1 default=ignore] pam_sss.so\n"
        b"auth requisite pam_deny.so\nauth required pam_permit.so\n"
    )

    above, _, below = find_line(plan(text, files={}).content)
    assert "pam_deny.so" in above
    assert "pam_permit.so" in below


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"auth sufficient pam_unix.so\nauth required pam_deny.so\n", "without the key would do"),
        (b"auth sufficient pam_permit.so\n@include common-auth\n", "let everybody in"),
        (b"auth [default=ignore] pam_unix.so\nauth required pam_permit.so\n", "let everybody in"),
        (b"auth required pam_deny.so\n@include common-auth\n", "lock everybody out"),
        (b"auth [success=9 default=ignore] pam_unix.so\n", "lock everybody out"),
        (b"auth required pam_stepup.so\n@include common-auth\n", "already"),
        (b"account required pam_unix.so\n", "no auth lines"),
        (b"auth sufficient pam_rootok.so\n", "no module here is known"),
        (b"@include nowhere\n", "cannot be read"),
        (b"@include loop\n", "includes itself"),
        (b"auth requierd pam_unix.so\n", "not understood"),
    ],
)
def test_what_cannot_be_made_good_is_refused(text, why):
    """With the reason, and without a new file."""
    with pytest.raises(StackError, match=why):
        plan(text, files=FILES | {"loop": b"@include loop\n"})


def test_a_gate_after_the_password_is_not_skipped():
    """In place of the password, our success ends the stack, and skips the gate."""
    text = b"auth required pam_unix.so\nauth required pam_access.so\n"

    assert plan(text).content
    with pytest.raises(StackError, match=r"let in whom pam_access\.so keeps out"):
        plan(text, Way.INSTEAD)


def test_a_removal_that_would_open_or_close_the_service_is_refused():
    """A stack that was written around the key alone has nothing else."""
    with pytest.raises(StackError, match="lock everybody out"):
        plan_removal("service", b"auth required pam_stepup.so\n", {})
    with pytest.raises(StackError, match="let everybody in"):
        plan_removal("service", b"auth requisite pam_stepup.so\nauth required pam_permit.so\n", {})


CONTROL = st.sampled_from(
    ["required", "requisite", "sufficient", "optional", "[success=1 default=ignore]",
     "[success=2 default=bad]", "[success=ok default=die]", "[default=ignore]"]
)  # fmt: skip
NAME = st.sampled_from(
    ["pam_unix.so", "pam_unix.so", "pam_sss.so", "pam_deny.so", "pam_permit.so", "pam_nologin.so",
     "pam_succeed_if.so", "pam_env.so", "pam_foreign.so", "pam_rootok.so"]
)  # fmt: skip
MODULES = st.lists(st.builds("auth {} {}\n".format, CONTROL, NAME), max_size=4).map("".join)
SHARED = st.one_of(MODULES, st.just(COMMON_AUTH.decode()))
WAYS_IN = st.sampled_from(["@include", "auth include", "auth substack"])
STACKS = st.builds(
    lambda own, shared, way, more: (f"{own}{way} shared\n{more}".encode(), {"shared": shared}),
    MODULES, SHARED, WAYS_IN, MODULES,
)  # fmt: skip
MOST = 4000


def list_cases(steps, key_codes):
    """Every choice of codes: whether a password was right, whether somebody was let in alone."""
    choices = []
    for step in steps:
        role = find_role(step)
        codes = list_codes(role) if step.control else ("",)
        if role is Role.PASSWORD:
            codes = ("success", *WRONG[:2])
        choices.append(key_codes if role is Role.KEY else codes)
    size = 1
    for one in choices:
        size *= len(one)
    assume(size <= MOST)
    for codes in product(*choices):
        ways = zip(steps, codes, strict=True)
        good = [(step, find_role(step)) for step, code in ways if code == "success"]
        knows = any(role is Role.PASSWORD for _, role in good)
        is_alone = any(may_let_in_alone(step, role) for step, role in good)
        yield codes, knows, is_alone


# Most random stacks are refused, as they should be.
@settings(max_examples=400, suppress_health_check=[HealthCheck.filter_too_much])
@given(STACKS, st.sampled_from(list(Way)))
def test_no_plan_opens_or_closes_a_stack(stack, way):
    """Against every combination of return codes, one by one."""
    text, shared = stack
    files = {"shared": shared["shared"].encode()}
    try:
        planned = plan_edit("service", text, files, way).content
    except StackError:
        assume(False)
    steps = flatten(parse_file(planned, "service"), files)

    refused = [c for c in list_cases(steps, Key.REFUSED.value) if run(steps, c[0])]
    absent = [c for c in list_cases(steps, Key.UNAVAILABLE.value) if run(steps, c[0])]
    touched = [c for c in list_cases(steps, Key.TOUCHED.value) if run(steps, c[0])]

    assert all(is_alone for _, _, is_alone in refused)
    assert all(is_alone or (knows and way is Way.INSTEAD) for _, knows, is_alone in absent)
    assert any(not is_alone for _, _, is_alone in touched)
    if way is Way.AFTER:
        assert all(is_alone or knows for _, knows, is_alone in touched)
    assert remove_module("service", planned) == text


@given(st.binary(max_size=200))
def test_any_bytes_are_lines_or_an_error(content):
    """What is understood is kept byte for byte."""
    try:
        lines = parse_file(content, "service")
    except StackError:
        return
    assert b"".join(line.raw for line in lines) == content


@given(st.text(alphabet="auth [=]\\#\n@include\tpm_.so-1", max_size=120))
def test_nearly_pam_is_lines_or_an_error(text):
    """The same, closer to home."""
    content = text.encode()
    try:
        lines = parse_file(content, "service")
    except StackError:
        return
    assert b"".join(line.raw for line in lines) == content

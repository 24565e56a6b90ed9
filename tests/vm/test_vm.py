"""The package on a booted Debian: real units, real udev, a real hidraw node, real sudo.

The key is software on /dev/uhid, and a real authenticator to everybody: libfido2's tools, OpenSSH
and pam_u2f are tried on it too.
"""

import pytest
from vm_support import LIMIT_S, MODULE, NODE, ROOT, TAIL, find_package

pytestmark = pytest.mark.timeout(LIMIT_S)

CREDENTIAL = "/tmp/other"  # noqa: S108 - in a guest that nobody else uses
DIGEST = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="


def make_other_credential(guest):
    """Make a credential with libfido2's tools, for a relying party that is not ours."""
    guest.key.script(touch_after_ms=0)
    guest.run(
        f"mkdir -p {CREDENTIAL} && cd {CREDENTIAL} &&"
        f" printf '%s\\n' {DIGEST} other.example ada {DIGEST} >wanted &&"
        f" fido2-cred -M -i wanted {NODE} >made && fido2-cred -V -i made -o verified &&"
        f" (echo {DIGEST}; echo other.example; head -n1 verified) >question &&"
        " tail -n+2 verified >public.pem"
    )
    guest.key.script(touch_after_ms=None)


ASSERT = f"cd {CREDENTIAL} && fido2-assert -G -i question {NODE} >answer"
CHECK = f"cd {CREDENTIAL} && fido2-assert -V -i answer public.pem es256"


def test_libfido2_takes_the_key_for_a_real_one(bare):
    """Listed, described, makes a credential and an assertion that libfido2 verifies."""
    assert NODE in bare.run("fido2-token -L")
    assert "FIDO_2_1" in bare.run(f"fido2-token -I {NODE}")
    make_other_credential(bare)
    bare.key.script(touch_after_ms=0)
    bare.run(f"{ASSERT} && {CHECK}")


def test_openssh_makes_a_key_on_it_and_signs(bare):
    """`ssh-keygen -t ed25519-sk`, a signature, and its verification."""
    bare.key.script(touch_after_ms=0)
    bare.run(
        "cd /root && ssh-keygen -q -t ed25519-sk -N '' -f sk && echo text >text &&"
        " ssh-keygen -q -Y sign -n test -f sk text && (printf 'ada '; cat sk.pub) >signers &&"
        " ssh-keygen -Y verify -f signers -I ada -n test -s text.sig <text"
    )


def test_pam_u2f_accepts_it(bare):
    """The other module for sudo works with this key, so a comparison with it is fair."""
    bare.key.script(touch_after_ms=0)
    bare.run("pamu2fcfg -u ada >/etc/u2f_mappings")
    module = "auth required pam_u2f.so authfile=/etc/u2f_mappings\n"
    bare.write("/etc/pam.d/sudo", module + TAIL)

    assert bare.run("sudo id -u", "ada") == "0\n"


def test_the_node_belongs_to_the_daemon_and_to_no_other_account(installed):
    """The group stepupd may open a key; whoever is not at the seat gets nothing."""
    assert installed.run(f"stat -c '%U:%G %a' {NODE}") == "root:stepupd 660\n"
    installed.run(f"test ! -r {NODE} -a ! -w {NODE}", "bob")

    installed.key.unplug()
    installed.await_true(f"[ ! -e {NODE} ]")
    installed.key.plug()
    installed.await_true(f'[ "$(stat -c %G {NODE})" = stepupd ]')


def test_the_person_at_the_seat_keeps_access_of_her_own(bare):
    """Udev's ACL for her is the same with the package as without: browsers go on working."""
    bare.sit_down("ada")
    acl = f"getfacl --omit-header --absolute-names {NODE}"
    bare.await_true(f"{acl} | grep -q user:ada:rw-")
    before = bare.run(acl)
    bare.install(find_package())
    bare.await_true(f'[ "$(stat -c %G {NODE})" = stepupd ]')
    assert bare.run(acl) == before
    assert "FIDO_2_1" in bare.run(f"fido2-token -I {NODE}", "ada")

    bare.key.unplug()
    bare.await_true(f"[ ! -e {NODE} ]")
    bare.key.plug()
    bare.await_true(f"{acl} | grep -q user:ada:rw-")
    assert ":uaccess:" in bare.run(f"udevadm info -q property --property=CURRENT_TAGS {NODE}")
    bare.run("systemctl stop console")
    bare.await_true(f"! {acl} | grep -q user:ada")


def test_a_touch_lets_sudo_go_on_and_the_grant_spares_the_second(installed):
    """The main job, on the installed package."""
    login = installed.log_in("sudo id -u && sudo id -un")
    installed.touch()
    status, text = login.finish()

    assert (status, text.split()[-2:]) == (0, ["0", "root"])
    assert text.count("Touch your key") == 1


def test_another_session_touches_for_itself(installed):
    """A grant of one terminal is none in another (attack 95)."""
    first = installed.log_in("sudo true")
    installed.touch()
    assert first.finish()[0] == 0

    second = installed.log_in("sudo id")
    installed.expect_blink()
    assert installed.key.deny()
    status, text = second.finish()
    assert status == 1
    assert ROOT not in text


def test_a_key_that_is_plugged_in_late_takes_part(installed):
    """The person is asked for the key, plugs it in, and touches it."""
    installed.key.unplug()
    installed.await_true(f"[ ! -e {NODE} ]")
    login = installed.log_in("sudo id -u")
    login.expect("Plug in your key")
    installed.key.plug()
    installed.touch()
    assert login.finish()[0] == 0


def test_unplugging_in_mid_touch_is_a_refusal_and_the_next_sudo_works(installed):
    """The node vanishes while it blinks: no success, nothing stuck."""
    login = installed.log_in("sudo id")
    installed.expect_blink()
    installed.key.unplug()
    status, text = login.finish()
    assert status == 1
    assert ROOT not in text
    assert "unplugged" in text

    installed.key.plug()
    again = installed.log_in("sudo id")
    installed.touch()
    assert again.finish()[0] == 0


def test_sudo_waits_while_another_program_holds_the_key(installed):
    """A browser's touch is not ours: sudo's turn comes when that program has had its own."""
    make_other_credential(installed)
    other = installed.log_in(ASSERT, "root")
    installed.expect_blink()
    login = installed.log_in("sudo id -u")
    installed.await_true("pgrep -x sudo")
    installed.touch()
    assert other.finish()[0] == 0
    installed.run(CHECK)

    installed.touch()
    assert login.finish()[0] == 0


def test_another_program_disturbs_no_touch_that_sudo_waits_for(installed):
    """It hears that the key is busy, and what it does to the link reaches only its own channel."""
    make_other_credential(installed)
    login = installed.log_in("sudo id -u")
    installed.expect_blink()
    installed.run(f"timeout 10 sh -c '{ASSERT}'; timeout 10 fido2-token -I {NODE}", check=False)
    assert installed.key.state()["waiting"]
    assert installed.key.touch()
    assert login.finish()[0] == 0


def test_su_asks_for_the_key_of_whom_one_becomes(installed):
    """Bob may become ada if ada's key is touched, and nobody else's."""
    login = installed.log_in("su ada -c 'id -un'", "bob")
    installed.touch()
    status, text = login.finish()
    assert (status, text.split()[-1]) == (0, "ada")

    status, text = installed.log_in("su bob -c 'id -un'", "ada").finish()
    assert status == 1
    assert "No key that policy accepts" in text


def test_login_asks_for_the_key(installed):
    """On a terminal, through the real login."""
    login = installed.log_in("login ada", "root")
    installed.touch()
    login.type("id -un; exit\n")
    status, text = login.finish()

    assert status == 0
    assert "\rada\n" in text.replace("\r\n", "\n")


def test_a_killed_daemon_is_back_by_itself(installed):
    """SIGKILL in mid-ceremony: a refusal now, a new daemon, and sudo works again."""
    login = installed.log_in("sudo id")
    installed.expect_blink()
    installed.run("systemctl kill -s KILL stepupd.service")
    status, text = login.finish()
    assert status == 1
    assert ROOT not in text

    # Nobody cancelled: the key goes on blinking for a request that is dead.
    assert installed.key.touch()
    installed.await_true('[ "$(systemctl show -P NRestarts stepupd)" = 1 ]')
    again = installed.log_in("sudo id -u")
    installed.touch()
    assert again.finish()[0] == 0


def test_a_restart_keeps_the_grant(installed):
    """An update of the daemon asks nobody to touch again, and sudo never fails for it."""
    login = installed.log_in("sudo systemctl restart stepupd && sudo id -u")
    installed.touch()
    status, text = login.finish()

    assert (status, text.split()[-1]) == (0, "0")
    assert text.count("Touch your key") == 1


def test_sudo_is_refused_when_everything_is_stopped(installed):
    """No socket, no daemon: an answer at once, and it is no."""
    installed.run("systemctl stop stepupd.socket stepupd-pam.socket stepupd.service")
    status, text = installed.log_in("sudo id").finish()

    assert status == 1
    assert ROOT not in text


def test_a_stopped_daemon_is_started_by_its_socket(installed):
    """`systemctl stop stepupd.service` alone locks nobody out."""
    installed.run("systemctl stop stepupd.service 2>/dev/null")
    login = installed.log_in("sudo id -u")
    installed.touch()

    assert login.finish()[0] == 0


def test_an_upgrade_ends_a_running_request_as_a_refusal(installed):
    """The package is installed over itself while the key blinks; the key stays enrolled."""
    installed.write("/etc/pam.d/sudo", f"{MODULE.strip()} timeout=150\n{TAIL}")
    login = installed.log_in("sudo id")
    installed.expect_blink()
    installed.install(find_package())
    status, text = login.finish()
    assert status == 1
    assert ROOT not in text

    if not installed.key.wait_for_idle():
        # The old daemon may end before the key has heard that its request did.
        assert installed.key.touch()
    again = installed.log_in("sudo id -u")
    installed.touch()
    assert again.finish()[0] == 0

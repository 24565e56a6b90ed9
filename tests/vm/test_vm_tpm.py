"""The key of the machine in a TPM: swtpm's, a real one to the guest's kernel and to systemd.

Three boots: with a chip to seal it to, with another chip, and with the first one again.
"""

import shutil

import pytest
from virtual_tpm import VirtualTpm
from vm_support import KEY_DIRECTORY, LIMIT_S, ROOT

pytestmark = [
    pytest.mark.timeout(LIMIT_S),
    pytest.mark.skipif(
        shutil.which("swtpm") is None,
        reason="swtpm is not installed (packaging/install-test-tools --vm)",
    ),
]

SEALED = "/etc/credstore.encrypted/stepupd.key"
UNSEALED = "/var/lib/stepupd/master.key"
FILES = f"{SEALED} /var/lib/stepupd/credentials.db"
UNITS = "stepupd.socket stepupd-pam.socket stepupd.service"
JOURNAL = "journalctl -b -o cat -u stepupd.service"
# TCG ACPI Specification: MSFT0101 is a TPM 2.0.
UNBIND = "echo MSFT0101:00 >/sys/bus/platform/drivers/tpm_tis/unbind"
KEPT = "/root/key.json"


@pytest.fixture
def chip():
    """Give a TPM to which nothing was sealed."""
    with VirtualTpm() as chip:
        yield chip


@pytest.fixture
def other_chip():
    """Give another."""
    with VirtualTpm() as chip:
        yield chip


@pytest.fixture
def never_started(installed):
    """Give a machine where the package is installed, and has not started yet."""
    installed.run(f"systemctl stop {UNITS} && rm -rf {SEALED} /var/l*/stepupd/*")
    yield installed
    installed.machine.load("installed")


def boot_with(guest, chip):
    """Boot with a TPM; ada's key, which is software, stays what it was."""
    guest.run(f"cp {KEY_DIRECTORY}/key.json {KEPT} && sync")
    guest.machine.rebuild(chip.describe())
    guest.run(f"install -D {KEPT} {KEY_DIRECTORY}/key.json")
    guest.start_key()
    guest.connect()


def expect_touch_to_suffice(guest):
    login = guest.log_in("sudo id -u")
    guest.touch()
    assert login.finish()[0] == 0


def expect_refusal(guest, reason):
    """Nobody gets in, no key takes the place of the sealed one, and the journal says why."""
    status, text = guest.log_in("sudo id").finish()
    assert status == 1
    assert ROOT not in text
    assert not guest.key.state()["waiting"]
    guest.run(f"test ! -e {UNSEALED}")
    said = guest.run(JOURNAL)
    assert reason in said
    assert "Failed to set up credentials" in said


def test_a_tpm_holds_the_key_of_the_machine(never_started, chip, other_chip):
    """Unsealed at every start; without that TPM a refusal that spoils nothing (attack 105)."""
    guest = never_started
    boot_with(guest, chip)
    assert "is sealed with host+tpm2\n" in guest.run("journalctl -b -o cat -u stepupd-key")
    assert guest.run(f"stat -c '%a %U' {SEALED}") == "600 root\n"
    guest.run(f"test ! -e {UNSEALED}")
    guest.enroll()
    guest.run("systemctl restart stepupd")
    expect_touch_to_suffice(guest)

    guest.run(f"systemctl stop {UNITS}")
    files = guest.run(f"sha256sum {FILES}")
    boot_with(guest, other_chip)
    expect_refusal(guest, "key in TPM: tpm:parameter(1):integrity check failed")
    assert "stepupd does not answer" in guest.run("stepup doctor", check=False)
    guest.run(UNBIND)
    guest.run(f"systemctl reset-failed {UNITS}; systemctl start {UNITS}", check=False)
    expect_refusal(guest, "/dev/tpmrm0: No such file or directory")
    assert guest.run(f"sha256sum {FILES}") == files

    boot_with(guest, chip)
    expect_touch_to_suffice(guest)

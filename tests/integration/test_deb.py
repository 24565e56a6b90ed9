"""The package: what is in it, and what a machine is like with it."""

import re
import subprocess
import tomllib
from email.parser import HeaderParser

import pytest
from deb_support import ROOT, build, copy_source, read_bill, start_daemon, stop_daemon

pytestmark = pytest.mark.timeout(900)  # building and examining it, on a busy machine

MAXIMUM_EXPOSURE = 1.2
DIRECTORIES = {
    "/etc/stepupd": "755 root root",
    "/var/lib/stepupd": "700 stepupd stepupd",
    "/var/log/stepupd": "750 stepupd stepupd",
    "/run/stepupd": "755 stepupd stepupd",
    "/run/stepupd/grants": "700 stepupd stepupd",
}


def normalize(name):
    """Return a project's name as the package index compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


PROMISED = """
usr/sbin/stepupd  usr/bin/stepup  usr/lib/stepupd/seal-key
usr/lib/*/security/pam_stepup.so  usr/share/pam-configs/stepup
usr/lib/systemd/system/stepupd.service  usr/lib/systemd/system/stepupd.socket
usr/lib/systemd/system/stepupd-pam.socket  usr/lib/systemd/system/stepupd-pam-rollback.service
usr/lib/systemd/system/stepupd-key.service  usr/lib/systemd/user/stepupd.service
usr/lib/udev/rules.d/70-stepupd.rules
usr/lib/sysusers.d/stepupd.conf  usr/lib/tmpfiles.d/stepupd.conf
usr/share/dbus-1/system.d/org.stepupd1.conf  usr/share/dbus-1/system-services/org.stepupd1.service
usr/share/dbus-1/services/org.stepupd1.service
usr/share/dbus-1/interfaces/org.stepupd1.xml  usr/share/polkit-1/actions/org.stepupd1.policy
usr/share/polkit-1/rules.d/org.stepupd1.rules  etc/apparmor.d/stepupd  etc/stepupd/policy.toml
usr/share/man/man1/stepup.1.gz  usr/share/man/man8/stepupd.8.gz  usr/share/man/man8/pam_stepup.8.gz
usr/share/man/man5/stepupd-policy.5.gz  usr/share/man/man5/stepupd-adviser.5.gz
usr/share/bash-completion/completions/stepup  usr/share/zsh/vendor-completions/_stepup
usr/share/fish/vendor_completions.d/stepup.fish
usr/share/doc/stepupd/examples/dbus_ask.py  usr/share/doc/stepupd/examples/policies/team.toml
"""
"""Patterns of what a machine needs of us."""


def test_all_that_a_machine_needs_is_inside(unpacked):
    """Each file is there and not empty; modules come with their bytecode."""
    for pattern in PROMISED.split():
        assert [path.stat().st_size > 0 for path in unpacked.glob(pattern)] == [True], pattern
    packages = next(unpacked.glob("usr/lib/stepupd/lib/python3.*/site-packages"))
    for package in ("stepupd", "stepup", "cryptography"):
        sources = {path.stem for path in (packages / package).glob("*.py")}
        compiled = {path.name.split(".")[0] for path in (packages / package).glob("__pycache__/*")}
        assert sources
        assert sources == compiled


def test_the_same_source_gives_the_same_bytes(package, tmp_path):
    """Elsewhere, with another umask, time zone, locale and flags: the same package and bill."""
    other = tmp_path / "somewhere-else"
    copy_source(other, of=package.parents[1])
    again = build(
        other, umask="077", TZ="Pacific/Kiritimati", LC_ALL="C", CFLAGS="-g", PYTHONHASHSEED="7"
    )

    assert again.name == package.name
    assert again.read_bytes() == package.read_bytes()
    assert again.with_suffix(".cdx.json").read_bytes() == (
        package.with_suffix(".cdx.json").read_bytes()
    )


def test_lintian_finds_no_error(package):
    done = subprocess.run(
        ["lintian", "--fail-on=error", "--allow-root", package],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("stepupd.service", MAXIMUM_EXPOSURE),
        # Root's, for a moment: to change root's files, and to seal the key.
        ("stepupd-pam-rollback.service", 1.7),
        ("stepupd-key.service", 1.7),
    ],
)
def test_the_unit_is_exposed_no_more_than_it_must_be(unpacked, name, most):
    """`systemd-analyze security` of the units that ship; what is left is said in them."""
    unit = unpacked / "usr/lib/systemd/system" / name
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    exposure = float(re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)[1])

    assert exposure <= most
    assert not re.search(r"^PrivateUsers=(?!no)", unit.read_text(), re.MULTILINE)


def test_the_bill_names_every_library_inside(package, unpacked):
    """Name, version, licence and the hash that was locked; nothing more, nothing less."""
    inside = {}
    for path in unpacked.glob("usr/lib/stepupd/lib/*/site-packages/*.dist-info/METADATA"):
        metadata = HeaderParser().parsestr(path.read_text())
        inside[metadata["Name"]] = metadata["Version"]
    bill = read_bill(package)
    listed = {part["name"]: part for part in bill["components"]}
    locked = (ROOT / "packaging/wheels.txt").read_text()

    assert {name: part["version"] for name, part in listed.items()} == inside
    assert {"cryptography", "fido2", "msgspec", "typer"} <= set(inside)
    for part in listed.values():
        [licence], [digest] = part["licenses"], part["hashes"]
        assert licence.get("expression") or licence["license"]["name"]
        assert f"--hash=sha256:{digest['content']}" in locked
        assert part["purl"] == part["bom-ref"]
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    assert bill["dependencies"][0]["dependsOn"] == [part["bom-ref"] for part in bill["components"]]


def test_the_lock_covers_what_is_tested():
    """All that the program needs is in wheels.txt, in the versions of constraints.txt.

    If not: packaging/lock_wheels.py.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = sum((extras[name] for name in extras if name != "dev"), project["dependencies"])
    needed = {normalize(re.match(r"[\w.-]+", entry)[0]) for entry in wanted}
    shipped, tested = (
        {
            normalize(name): version
            for name, version in re.findall(r"^([\w.-]+)==(\S+)", path.read_text(), re.MULTILINE)
        }
        for path in (ROOT / "packaging/wheels.txt", ROOT / "constraints.txt")
    )

    assert needed <= set(shipped)
    assert shipped.items() <= tested.items()


def test_the_apparmor_profile_gives_nothing_away(unpacked):
    """It can be loaded, and has no capability, no ptrace and no file of others to write."""
    profile = unpacked / "etc/apparmor.d/stepupd"
    subprocess.run(["apparmor_parser", "-QT", profile], check=True, capture_output=True)
    rules = re.sub(r"#.*", "", profile.read_text())
    writable = [
        path
        for path, rights in re.findall(r"(?<!deny)\s(/\S+)\s+([a-z]+),", rules)
        if "w" in rights and f"deny {path} " not in rules
    ]

    assert not re.search(r"\b(capability|ptrace|mount|change_profile|all)\b", rules)
    own = r"/(var/lib|var/log|run)/stepupd/|/(var/)?tmp/|/dev/hidraw|/run/(systemd|dbus)/"
    assert writable
    assert all(re.match(own, path) for path in writable)


def test_installing_changes_no_stack_and_the_daemon_runs(installed):
    """The account and its directories are there; with them the daemon starts as in its unit."""
    changes = installed.list_changes()

    assert not [path for path in changes if path.startswith(("/etc/pam.d/", "/etc/sudoers"))]
    assert "rules" in installed.run("stepupd", "--check")
    assert installed.run("stepupd", "--version").startswith("stepupd ")
    for path, expected in DIRECTORIES.items():
        assert installed.run("stat", "--format=%a %U %G", path).strip() == expected
    start_daemon(installed)
    assert "system" in installed.run("setpriv", "--reuid=daemon", "stepup", "status")
    assert installed.run("stat", "--format=%a %U", "/var/lib/stepupd/master.key") == "600 stepupd\n"


def test_the_units_are_enabled_and_valid(installed):
    """They start with the machine, and systemd understands every line."""
    units = installed.run("sh", "-c", "cd /usr/lib/systemd/system && ls stepupd*").split()
    said = installed.run("systemd-analyze", "verify", "--man=no", *units)

    assert "stepupd" not in said
    for wanted in (
        "sockets.target.wants/stepupd.socket",
        "sockets.target.wants/stepupd-pam.socket",
        "multi-user.target.wants/stepupd.service",
        "sysinit.target.wants/stepupd-pam-rollback.service",
    ):
        installed.run("test", "-L", f"/etc/systemd/system/{wanted}")


def test_attack_117_nothing_of_the_machine_reaches_the_environment(installed):
    """Neither modules for all programs, nor the caller's folder or variables, come before ours."""
    planted = "raise SystemExit('planted')"
    for folder in ("/usr/local/lib/python3.11/dist-packages", "/usr/lib/python3/dist-packages"):
        installed.run("mkdir", "-p", folder)
        installed.write(f"{folder}/planted.pth", "import sys; sys.exit('planted')\n")
        for name in ("stepup", "typer", "sitecustomize", "usercustomize"):
            installed.write(f"{folder}/{name}.py", planted)
    installed.write("/root/typer.py", planted)

    where = {"PYTHONPATH": "/root", "PYTHONSTARTUP": "/root/typer.py", "PYTHONHOME": "/root"}
    for program in ("stepup verify", "stepupd"):
        assert "Usage" in installed.run("sh", "-c", f"cd && {program} --help", **where).title()


def test_the_sealed_key_is_used_and_never_replaced(installed):
    """Sealed once to this machine, under its name only; then no key file is made."""
    sealed = "/etc/credstore.encrypted/stepupd.key"
    assert "sealed with host" in installed.run("/usr/lib/stepupd/seal-key")
    first = installed.run("cat", sealed)
    installed.run("/usr/lib/stepupd/seal-key")
    assert installed.run("cat", sealed) == first
    assert installed.run("stat", "--format=%a %U", sealed) == "600 root\n"
    assert installed.try_out("systemd-creds", "decrypt", "--name=other", sealed, "-")[0] != 0

    handed = "/run/credentials/stepupd.service"
    installed.run("mkdir", "-p", handed)
    installed.run("systemd-creds", "decrypt", "--name=stepupd.key", sealed, f"{handed}/stepupd.key")
    installed.run("chown", "-R", "stepupd", handed)
    installed.run("chmod", "0400", f"{handed}/stepupd.key")
    start_daemon(installed, CREDENTIALS_DIRECTORY=handed)

    assert installed.try_out("test", "-e", "/var/lib/stepupd/master.key")[0] == 1


def test_an_upgrade_keeps_what_is_there(installed, package):
    """The administrator's policy, the key and the store; and the daemon starts with them again."""
    policy = "# mine\n" + installed.read("/etc/stepupd/policy.toml")
    installed.write("/etc/stepupd/policy.toml", policy)
    daemon = start_daemon(installed)
    kept = "sha256sum /var/lib/stepupd/master.key; id stepupd"
    before = installed.run("sh", "-c", kept)
    stop_daemon(installed, daemon)

    installed.install(package)

    assert installed.read("/etc/stepupd/policy.toml") == policy
    assert installed.run("sh", "-c", kept) == before
    start_daemon(installed)

"""`[[adviser]]`: what is taken, and that everything wrong is shown where it stands."""

import pytest

from stepupd.core.errors import ConfigError
from stepupd.core.risk.advice import Address, AdviserPlan, Format
from stepupd.store.adviser_table import MOST_ADVISERS
from stepupd.store.configuration import load_settings

START = '[[adviser]]\nname = "engine"\n'


@pytest.fixture
def program(tmp_path):
    """Write a program that only root can have written."""
    path = tmp_path / "risk"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def read(tmp_path, text):
    (tmp_path / "stepupd.toml").write_text(text, encoding="utf-8")
    return load_settings(tmp_path).advisers


def test_nobody_is_asked_unless_told(tmp_path):
    assert load_settings(tmp_path).advisers == ()


def test_a_program(tmp_path, program):
    (alone,) = read(tmp_path, f"{START}exec = '{program}'")
    (words,) = read(
        tmp_path, f'{START}exec = ["{program}", "--fast"]\ndeadline = "2s"\nsend_command = true'
    )

    assert alone == AdviserPlan("engine", program=(str(program),), deadline=1.0)
    assert words == AdviserPlan(
        "engine", program=(str(program), "--fast"), deadline=2.0, sends_command=True
    )


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://127.0.0.1:8181/v1/data/a", Address("127.0.0.1", 8181, "/v1/data/a")),
        ("http://localhost", Address("127.0.0.1", 80, "/")),
        ("http://[::1]:9/", Address("::1", 9, "/")),
        ("http://127.3.2.1/x?y=z", Address("127.3.2.1", 80, "/x?y=z")),
        ("https://risk.example.org/v1", Address("risk.example.org", 443, "/v1", is_secure=True)),
        ("https://192.0.2.7:8443", Address("192.0.2.7", 8443, "/", is_secure=True)),
    ],
)
def test_an_address(tmp_path, url, address):
    (plan,) = read(tmp_path, f'{START}url = "{url}"')

    assert plan == AdviserPlan("engine", address=address)


def test_a_socket(tmp_path):
    (alone,) = read(tmp_path, f'{START}socket = "/run/opa/opa.sock"')
    (path,) = read(
        tmp_path,
        f'{START}socket = "/run/opa/opa.sock"\nurl = "http://opa/v1/data/a"\nformat = "opa"\n'
        "deadline = 0.25",
    )

    assert alone == AdviserPlan(
        "engine", address=Address("localhost", 80, "/"), socket="/run/opa/opa.sock"
    )
    assert path == AdviserPlan(
        "engine",
        address=Address("opa", 80, "/v1/data/a"),
        socket="/run/opa/opa.sock",
        format=Format.OPA,
        deadline=0.25,
    )


HERE = 'url = "http://127.0.0.1/"\n'


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[[adviser]]\nurl = "http://127.0.0.1/"', 1),
        ('[[adviser]]\nname = ""\n' + HERE, 2),
        ('[[adviser]]\nname = "Engine"\n' + HERE, 2),
        ('[[adviser]]\nname = "a b"\n' + HERE, 2),
        (START, 2),
        (f'{START}exec = "/bin/true"\n{HERE}', 2),
        (f'{START}exec = "/bin/true"\nsocket = "/run/x"', 2),
        (f'{START}exec = "bin/true"', 3),
        (f"{START}exec = []", 3),
        (f'{START}exec = ["/bin/true", "a\\nb"]', 3),
        (f'{START}exec = "/nonexistent"', 3),
        (f'{START}exec = "/etc"', 3),
        (f'{START}exec = "/etc/passwd"', 3),
        (f'{START}exec = "/dev/null"', 3),
        (f'{START}url = "http://192.0.2.7/"', 3),
        (f'{START}url = "http://risk.example.org/"', 3),
        (f'{START}url = "http://localhost.example.org/"', 3),
        (f'{START}url = "http://127.0.0.1@risk.example.org/"', 3),
        (f'{START}url = "https://user:secret@risk.example.org/"', 3),
        (f'{START}url = "ftp://127.0.0.1/"', 3),
        (f'{START}url = "file:///etc/passwd"', 3),
        (f'{START}url = "127.0.0.1:8181"', 3),
        (f'{START}url = ""', 3),
        (f'{START}url = "http:///v1"', 3),
        (f'{START}url = "http://127.0.0.1:99999/"', 3),
        (f'{START}url = "http://127.0.0.1:x/"', 3),
        (f'{START}url = "http://127.0.0.1/a b"', 3),
        (f'{START}url = "http://127.0.0.1/\\r\\nX: y"', 3),
        (f'{START}url = "http://127.0.0.1/#x"', 3),
        (f'{START}url = "http://\u0661\u0662\u0667.0.0.1/"', 3),
        (f'{START}socket = "run/x"', 3),
        (f'{START}socket = "/{"x" * 107}"', 3),
        (f'{START}socket = "/run/x"\nurl = "https://risk.example.org/"', 4),
        (f"{START}{HERE}deadline = 0", 4),
        (f"{START}{HERE}deadline = 2.1", 4),
        (f"{START}{HERE}deadline = -1", 4),
        (f"{START}{HERE}deadline = nan", 4),
        (f"{START}{HERE}deadline = inf", 4),
        (f'{START}{HERE}deadline = "1m"', 4),
        (f'{START}{HERE}format = "xml"', 4),
        (f'{START}{HERE}send_command = "no"', 4),
        (f"{START}{HERE}weight = 9", 4),
        (f"{START}{HERE}program = '/bin/true'", 4),
        (f"{START}{HERE}{START}{HERE}", 5),
    ],
    ids=lambda value: str(value)[-40:],
)
def test_what_is_wrong_is_shown_where_it_is(tmp_path, text, line):
    with pytest.raises(ConfigError) as wrong:
        read(tmp_path, text)

    assert wrong.value.line == line, str(wrong.value)


def test_there_are_not_many(tmp_path):
    def write(count):
        return "".join(f'[[adviser]]\nname = "a{index}"\n{HERE}' for index in range(count))

    assert len(read(tmp_path, write(MOST_ADVISERS))) == MOST_ADVISERS
    with pytest.raises(ConfigError):
        read(tmp_path, write(MOST_ADVISERS + 1))


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777, 0o644])
def test_a_program_of_others_is_refused(tmp_path, program, mode):
    """Or one that cannot be run at all."""
    program.chmod(mode)

    with pytest.raises(ConfigError):
        read(tmp_path, f"{START}exec = '{program}'")

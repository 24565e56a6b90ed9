"""Policies, and a log to try them on: five weeks of ada, and one request of somebody else's."""

from collections.abc import Callable

from replay_support import FakeDaemon, make_request, read_policy

from stepup.app import run
from stepup.log_paths import LogPaths
from stepupd.core.risk.facts import Facts

HERE = Facts(hour=9, weekday=1, source="192.0.2.7", country="NO", latitude=59.9, longitude=10.7)
ABROAD = Facts(
    hour=9, weekday=1, source="203.0.113.9", country="NZ", latitude=-41.0, longitude=174.0
)

THEN = """
[[rule]]
name = "sudo"
action = "pam:*"
require = "touch"
max_age = "1h"
scope = "session"
"""
WEIGHED = THEN + "[risk]\nladder = []\n"
"""The same, but what is around a request is recorded."""
NOW = (
    THEN.replace("1h", "10m")
    + """
[risk]
ladder = [{ score = 30, require = "touch" }, { score = 60, require = "verify" }]

[[test]]
name = "sudo asks for a touch"
action = "pam:sudo"
expect = "touch"
"""
)


def make_invoke(capsys, monkeypatch, tmp_path) -> Callable[..., tuple[int, str, str]]:
    """Return what runs one command line in this process, of somebody who has installed nothing."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr("stepup.policy.files._SYSTEM", tmp_path / "etc")
    monkeypatch.setattr("stepup.log_paths._SYSTEM", LogPaths(*(tmp_path / "no" / "log",) * 3))

    def call(*arguments):
        capsys.readouterr()
        code = run(list(arguments))
        return code, *capsys.readouterr()

    return call


def make_policy_verb(invoke, tmp_path) -> Callable[..., tuple[int, str, str]]:
    """Return what runs a verb of `stepup policy`; texts that are named become files."""

    def call(verb, *arguments, **files):
        for name, text in files.items():
            (tmp_path / f"{name}.toml").write_text(text)
        words = [str(tmp_path / word) if word.endswith(".toml") else word for word in arguments]
        return invoke("policy", verb, *words)

    return call


def live_for_weeks() -> FakeDaemon:
    """Return a daemon that served ada twice a day, and then a stranger with her name."""
    made = FakeDaemon(read_policy(WEIGHED))
    for _ in range(70):
        made.ask(make_request(), HERE)
        made.wait(1200)
        made.ask(make_request(command="apt update"), HERE)
        made.wait(12 * 3600)
    made.ask(make_request(tty=9), ABROAD)
    return made

"""What kind of program asks: the nearest that tells, and what drives others wherever it stands."""

import pytest

from stepupd.core.risk.asker import (
    _KINDS,
    _NAMES,
    Asker,
    find_asker,
    find_kind,
    is_remote_login,
    name_program,
)


@pytest.mark.parametrize(
    ("programs", "terminal", "asker"),
    [
        ("sudo bash gnome-terminal-server systemd systemd", "pts/0", Asker.TERMINAL),
        ("sudo bash gnome-terminal- systemd systemd", "pts/0", Asker.TERMINAL),
        ("sudo zsh never-heard-of systemd systemd", "pts/0", Asker.TERMINAL),
        ("sudo bash login systemd", "tty1", Asker.TERMINAL),
        ("sudo bash sshd-session sshd-session sshd systemd", "pts/0", Asker.SSH),
        ("sudo sshd systemd", "", Asker.SSH),
        ("sh cron cron systemd", "", Asker.CRON),
        ("sh crond init", "", Asker.CRON),
        ("sh php-fpm8.2 php-fpm8.2 systemd", "", Asker.WEB),
        ("sh apache2 apache2 systemd", "", Asker.WEB),
        ("sudo bash code code systemd systemd", "pts/3", Asker.EDITOR),
        ("sudo sh vim.basic bash sshd systemd", "pts/3", Asker.EDITOR),
        ("sudo bash claude bash sshd-session sshd systemd", "pts/3", Asker.AGENT),
        ("stepup backup.sh systemd", "", Asker.SERVICE),
        ("stepup sh containerd-shim-runc-v2 systemd", "", Asker.SERVICE),
    ],
)
def test_the_nearest_program_that_tells_wins(programs, terminal, asker):
    assert find_asker(tuple(programs.split()), terminal) is asker


@pytest.mark.parametrize("nearer", ["vim", "tmux", "xterm", "sshd", "cron", "code"])
@pytest.mark.parametrize("driver", [Asker.AGENT, Asker.WEB])
def test_what_an_agent_or_a_web_server_started_stays_theirs(nearer, driver):
    """Neither can hide behind a terminal or an editor that it opens itself."""
    program = {Asker.AGENT: "codex", Asker.WEB: "nginx"}[driver]

    assert find_asker(("sudo", "bash", nearer, program, "systemd"), "pts/1") is driver


def test_an_agent_behind_a_web_server_is_an_agent():
    assert find_asker(("sudo", "claude", "gunicorn", "systemd"), "") is Asker.AGENT


@pytest.mark.parametrize("programs", [(), ("sudo",), ("sudo", "bash"), ("", "\\x80", "")])
@pytest.mark.parametrize("terminal", ["", "pts/0"])
def test_a_chain_that_tells_nothing_is_unknown(programs, terminal):
    """A terminal alone proves nothing: whoever cuts the chain keeps it."""
    assert find_asker(programs, terminal) is Asker.UNKNOWN


def test_a_name_with_two_kinds_is_the_riskier_one():
    """An editor that an agent lives in counts as the agent."""
    assert find_kind("cursor") is Asker.AGENT
    assert find_kind("windsurf") is Asker.AGENT


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("tmux: server", Asker.TERMINAL),
        ("xfce4-terminal", Asker.TERMINAL),
        ("wezterm-mux-server"[:15], Asker.TERMINAL),
        ("Claude", Asker.AGENT),
        ("github-copilot-cli"[:15], Asker.AGENT),
        ("emacs-29.1", Asker.EDITOR),
        ("bash", None),
        ("sudo", None),
        ("sshd_config", None),
        ("ssh", None),
        ("ssh-agent", None),
        ("qemu", None),
        ("", None),
        ("7", None),
        ("...", None),
        ("vimtutor", None),
        ("nginx-exporter", None),
    ],
)
def test_names_are_known_whole(name, kind):
    """Versions and the kernel's cut do not matter; a name that only begins alike does."""
    assert find_kind(name) is kind


def test_every_kind_but_unknown_has_names():
    assert set(_NAMES) == set(Asker) - {Asker.UNKNOWN}
    assert set(_KINDS.values()) == set(_NAMES)
    assert "" not in _KINDS


@pytest.mark.parametrize("kind", _NAMES)
def test_every_name_keeps_its_kind(kind):
    """Pins that no two kinds share a name, cut or without its version."""
    assert {find_kind(name[:cut]) for name in _NAMES[kind].split() for cut in (15, 99)} == {kind}


def test_remote_logins_are_servers_and_not_clients():
    assert is_remote_login("sshd")
    assert is_remote_login("sshd-session")
    assert not is_remote_login("ssh")


@pytest.mark.parametrize(
    ("executable", "kernel_name", "name"),
    [
        ("", "claude", "claude"),
        ("", "", ""),
        ("sudo", "bash", "sudo"),
        ("node", "claude", "claude"),
        ("python3.11", "aider", "aider"),
        ("node", "MainThread", "node"),
        ("node", "node-MainThread", "node"),
        ("code", "tmux: server", "code"),
    ],
)
def test_a_file_names_a_program_unless_it_is_an_interpreter(executable, kernel_name, name):
    assert name_program(executable, kernel_name) == name

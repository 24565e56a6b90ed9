"""What kind of program asks, told from the names of it and its parents.

The law of this file: a name is a hint and no proof. The kernel's short name is whatever the process
calls itself (PR_SET_NAME), a program can be copied under another name, and a parent that ended is
not in the chain; so a policy may ask for more because of a kind, never for less.

The nearest name that tells anything wins, but for what drives others: an agent or a web server
counts wherever it stands, for whatever runs below it may be its work. Names that may mean two kinds
stand with the riskier one. Not done here: nothing is read; `host` collects the names.
"""

from enum import StrEnum, unique


@unique
class Asker(StrEnum):
    """What kind of program a request comes from."""

    TERMINAL = "terminal"
    """A person's shell: a terminal emulator, a multiplexer, a console."""
    SSH = "ssh"
    """A shell or command from another machine."""
    CRON = "cron"
    WEB = "web"
    """A web server, or what it runs."""
    EDITOR = "editor"
    AGENT = "agent"
    """A program that a language model drives."""
    SERVICE = "service"
    """Something the service manager started, without a terminal."""
    UNKNOWN = "unknown"
    """The chain could not be read, or its end could not."""


_KERNEL_NAME = 15
"""Characters that the kernel keeps of a name (TASK_COMM_LEN)."""

_NAMES = {
    Asker.AGENT: (
        "aider amp antigravity auggie claude claude-code cline codebuff codex codex-cli copilot"
        " copilot-agent crush cursor cursor-agent cursor-server devin droid forge gemini gemini-cli"
        " github-copilot-cli goose goosed gptme grok interpreter kilo kilocode kimi kiro kiro-cli"
        " mcp-server mentat mistral-vibe open-interpreter opencode openhands plandex q qchat qodo"
        " qwen qwen-code roo swe-agent trae vibe warp-agent windsurf"
    ),
    Asker.WEB: (
        "apache caddy daphne gunicorn h2o haproxy httpd hypercorn lighttpd nginx openresty"
        " passenger passengeragent passengerwatchdog php-cgi php-fpm puma thttpd traefik uhttpd"
        " unicorn unit uvicorn uwsgi uwsgi-core waitress-serve"
    ),
    Asker.CRON: "anacron atd bcron-exec cron crond dcron fcron cronie",
    Asker.SSH: (
        "dropbear etserver etterminal in.rlogind in.rshd in.telnetd mosh-server sshd sshd-auth"
        " sshd-session telnetd tinysshd"
    ),
    Asker.EDITOR: (
        "atom clion code code-insiders code-oss code-server codium datagrip ed emacs emacs-gtk"
        " emacs-nox emacs-pgtk eclipse fleet geany gedit gnome-builder gnome-text-editor goland"
        " gvim helix hx idea jed joe jupyter-lab kakoune kak kate kwrite mg micro mousepad nano ne"
        " nvim phpstorm pluma pycharm rider rubymine rustrover sublime_text subl vi vim vim.basic"
        " vim.gtk vim.nox vim.tiny vscodium webstorm xed zed zed-editor zeditor"
    ),
    Asker.TERMINAL: (
        "agetty alacritty blackbox byobu cool-retro-term foot footclient fbterm getty ghostty"
        " gnome-console gnome-terminal gnome-terminal-server guake kgx kitty konsole lilyterm login"
        " lxterminal mate-terminal ptyxis ptyxis-agent qterminal rio rxvt screen st terminator"
        " terminology termit termite tilda tilix tmux tmux:_server urxvt urxvtd wezterm wezterm-gui"
        " wezterm-mux-server xfce4-terminal xterm yakuake zellij zutty"
    ),
    Asker.SERVICE: (
        "busybox-init containerd-shim dinit dumb-init init launchd openrc-init runit runsv runsvdir"
        " s6-supervise s6-svscan supervisord supervise-daemon systemd tini"
    ),
}

_INTERPRETERS = (
    "ash awk bash bun busybox csh dash deno electron erl fish gawk guile java ksh lua luajit mawk"
    " mksh node nodejs perl php pwsh pypy python ruby sh tclsh tcsh wish zsh"
)

_ANYWHERE = (Asker.AGENT, Asker.WEB)


def _simplify(name: str) -> str:
    """Return a name without case, version and what the kernel cuts off."""
    return name.lower().replace(" ", "_")[:_KERNEL_NAME].rstrip("0123456789.-_")


_KINDS = {_simplify(name): kind for kind, names in _NAMES.items() for name in names.split()}


def find_asker(programs: tuple[str, ...], terminal: str) -> Asker:
    """Return what kind of program asks; `programs` from the asking one upwards, to process 1.

    `terminal` is the name of the session's terminal as the kernel tells it, "" for none.
    """
    kinds = [kind for name in programs if (kind := find_kind(name)) is not None]
    for kind in _ANYWHERE:
        if kind in kinds:
            return kind
    for kind in kinds:
        if kind is not Asker.SERVICE:
            return kind
    if not kinds:
        # Nobody started it, as far as one can see: the chain is cut.
        return Asker.UNKNOWN
    return Asker.TERMINAL if terminal else Asker.SERVICE


def find_kind(name: str) -> Asker | None:
    """Return what a single name tells, None for a shell, a tool or anything not known."""
    return _KINDS.get(_simplify(name))


def is_remote_login(name: str) -> bool:
    """Return whether a program by that name lets people in from other machines."""
    return find_kind(name) is Asker.SSH


def name_program(executable: str, kernel_name: str) -> str:
    """Return the better of two names: the file's, which no process chooses, where it tells.

    An interpreter's file says nothing of who asks; there the kernel's name is the script's.
    """
    if not executable:
        return kernel_name
    is_interpreter = _simplify(executable) in _INTERPRETERS.split()
    # Some interpreters name their first thread, and not themselves.
    return kernel_name if is_interpreter and "MainThread" not in kernel_name else executable

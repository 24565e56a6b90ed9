"""What a request shows of each feature that a profile counts.

The law of this file: a value is short, and a long one is told from others by a digest; what is not
known is "", which is never counted and never familiar. A command is claimed, so it may
be strange, and may never be a reason to ask less.
"""

import ipaddress
from collections.abc import Callable, Mapping
from functools import lru_cache
from hashlib import sha256

from stepupd.core.model import StepUpRequest
from stepupd.core.risk.facts import Facts
from stepupd.core.risk.profile import HOURS_OF_WEEK, Feature

MAX_VALUE = 128
"""Characters kept of a value; what is longer ends in a digest of the whole."""

V4_PREFIX = 24
V6_PREFIX = 48
"""What one site usually has: RFC 6177 for IPv6."""

_WRAPPERS = frozenset({"sudo", "doas", "run0", "pkexec"})
_WITH_VALUE = frozenset(f"-{letter}" for letter in "CDRTUghprtu")
"""Options of those whose value is the next word."""

_HOURS = tuple(map(str, range(HOURS_OF_WEEK)))

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@lru_cache(maxsize=1024)
def read_address(source: str) -> Address | None:
    """Return a numeric address without its zone, IPv4 even where it is mapped into IPv6.

    None for text that is no address.
    """
    try:
        address = ipaddress.ip_address(source.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return address if mapped is None else mapped


@lru_cache(maxsize=1024)
def find_network(source: str) -> str:
    """Return the network of an address, such as "203.0.113.0/24"; text that is none as it is."""
    address = read_address(source)
    if address is None:
        return shorten(source)
    prefix = V4_PREFIX if address.version == 4 else V6_PREFIX  # noqa: PLR2004 - the IP version
    return str(ipaddress.ip_network((address, prefix), strict=False))


def shorten(text: str) -> str:
    """Return text that can be encoded and is at most `MAX_VALUE` long, still telling it apart."""
    if len(text) <= MAX_VALUE and text.isascii():
        return text
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    if len(text) <= MAX_VALUE:
        return text
    digest = sha256(text.encode()).hexdigest()[:16]
    return f"{text[: MAX_VALUE - 17]}#{digest}"


@lru_cache(maxsize=1024)
def name_address(source: str) -> str:
    """Return an address in its one form; text that is no address as it is."""
    address = read_address(source)
    return shorten(source) if address is None else str(address)


@lru_cache(maxsize=1024)
def name_terminal(tty: str) -> str:
    """Return the kind of a terminal: pts, tty, other or none."""
    if not tty:
        return "none"
    name = tty.removeprefix("/dev/")
    return next((kind for kind in ("pts", "tty") if name.startswith(kind)), "other")


def find_hour(_: StepUpRequest, facts: Facts) -> str:
    """Return the hour of the week."""
    return _HOURS[(facts.weekday * 24 + facts.hour) % HOURS_OF_WEEK]


def find_command(request: StepUpRequest, _: Facts) -> str:
    """Return the program and its first word: `systemctl restart`, not what was restarted.

    What only runs it (sudo) is left out, and so is an option: it may carry a secret.
    """
    command = _skip_wrapper(request.claim.command)
    if len(command) > 1 and not command[1].startswith("-"):
        return shorten(f"{command[0]} {command[1]}")
    return shorten(command[0]) if command else ""


def _skip_wrapper(command: tuple[str, ...]) -> tuple[str, ...]:
    """Return the command that another one runs, as far as that can be told from its options."""
    if not command or command[0].rpartition("/")[2] not in _WRAPPERS:
        return command
    at = 1
    while at < len(command) and (command[at].startswith("-") or "=" in command[at]):
        at += 2 if command[at] in _WITH_VALUE else 1
    return command[at:] or command[:1]


def find_terminal(request: StepUpRequest, _: Facts) -> str:
    """Return the kind of terminal."""
    return name_terminal(_find_tty(request))


def _find_tty(request: StepUpRequest) -> str:
    return request.session.tty if request.session is not None else ""


def name_program(programs: tuple[str, ...]) -> str:
    """Return the program that started the first one, or that one itself."""
    return shorten(programs[1] if len(programs) > 1 else programs[0]) if programs else ""


VALUES: Mapping[Feature, Callable[[StepUpRequest, Facts], str]] = {
    Feature.SOURCE: lambda _, facts: name_address(facts.source),
    Feature.NETWORK: lambda _, facts: find_network(facts.source),
    Feature.COUNTRY: lambda _, facts: facts.country,
    Feature.HOUR: find_hour,
    Feature.ACTION: lambda request, _: shorten(request.action),
    Feature.COMMAND: find_command,
    Feature.TERMINAL: find_terminal,
    Feature.PROGRAM: lambda _, facts: name_program(facts.programs),
    Feature.SSH_KEY: lambda _, facts: shorten(facts.ssh_key),
    Feature.SSH_CLIENT: lambda _, facts: shorten(facts.ssh_client),
}
"""Every feature that the request itself shows; credentials and signals come from its outcome."""


def show_values(request: StepUpRequest, facts: Facts) -> dict[Feature, str]:
    """Return what a request shows: the known values of all features in `VALUES` but the hour.

    What a person's requests have in common is worked out once. The command is not part of that, for
    it may hold a secret, and is not to be kept.
    """
    shown = _show_common(
        facts.source,
        facts.country,
        request.action,
        _find_tty(request),
        facts.programs,
        facts.ssh_key,
        facts.ssh_client,
    ).copy()
    command = find_command(request, facts)
    if command:
        shown[Feature.COMMAND] = command
    return shown


@lru_cache(maxsize=2048)
def _show_common(  # noqa: PLR0913, PLR0917 - they are the key of the cache
    source: str,
    country: str,
    action: str,
    tty: str,
    programs: tuple[str, ...],
    ssh_key: str,
    ssh_client: str,
) -> dict[Feature, str]:
    values = {
        Feature.SOURCE: name_address(source),
        Feature.NETWORK: find_network(source),
        Feature.COUNTRY: country,
        Feature.ACTION: shorten(action),
        Feature.TERMINAL: name_terminal(tty),
        Feature.PROGRAM: name_program(programs),
        Feature.SSH_KEY: shorten(ssh_key),
        Feature.SSH_CLIENT: shorten(ssh_client),
    }
    return {feature: value for feature, value in values.items() if value}

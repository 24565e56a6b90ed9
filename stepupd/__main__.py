"""stepupd: the step-up authentication daemon."""

import argparse
import asyncio
import logging
import sys
import time
from collections.abc import Sequence

from stepupd import __version__
from stepupd.core.errors import ConfigError, StepUpError
from stepupd.daemon import Daemon, Mode, read_policy_only
from stepupd.devices.hidraw import HidrawSource
from stepupd.devices.plugged import Source
from stepupd.host.bus import find_bus_address
from stepupd.host.hardening import harden, raise_descriptor_limit, refuse_user_namespace
from stepupd.places import Places
from stepupd.store.log_opening import set_aside
from stepupd.store.master_key import move_master_key
from stepupd.store.secret_service import SecretService

DESCRIPTORS = 8192
"""Open files: every connection is one, and so is its process."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the daemon; exits 0 when told to stop, 1 when it cannot run, 2 for a wrong option."""
    options = read_options(arguments)
    logging.basicConfig(level=options.log_level.upper(), format="stepupd: %(message)s")
    try:
        run(options)
    except StepUpError as error:
        print(f"stepupd: error: {error}", file=sys.stderr)  # noqa: T201 - the person at the terminal
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)  # noqa: T201 - as above
        sys.exit(1)


def run(options: argparse.Namespace) -> None:
    """Do what the options say. Raises ConfigError or InternalError."""
    places = Places.of_user() if options.user else Places.of_system()
    if options.check:
        policy = read_policy_only(places)
        print(f"{places.configuration}: good, {len(policy.rules)} rules")  # noqa: T201 - the answer
        return
    if options.set_aside_log:
        for path in set_aside(places.audit_log, places.checkpoint, time.time()):
            print(f"kept as {path}")  # noqa: T201 - the answer
        return
    if options.move_key:
        print(f"the key is {move_key(options, places)}")  # noqa: T201 - the answer
        return
    if not options.user:
        refuse_user_namespace()
    harden()
    raise_descriptor_limit(DESCRIPTORS)
    sources = open_sources(options, places)
    daemon = Daemon(Mode(places, options.user, sources, is_simulated=bool(options.simulate)))
    asyncio.run(daemon.run())


def move_key(options: argparse.Namespace, places: Places) -> str:
    """Move a person's key into the keyring or out of it; return where it is then."""
    if not options.user:
        raise ConfigError("only a person has a keyring: --move-key needs --user")
    harden()
    keyring = SecretService(find_bus_address(is_user=True))
    into = options.move_key == "keyring"
    return move_master_key(places.master_key, keyring, into_keyring=into).place


def open_sources(options: argparse.Namespace, places: Places) -> list[Source]:
    """Return where to look for keys: the real ones, or as many simulated ones as were asked for."""
    if not options.simulate:
        return [HidrawSource()]
    if not options.user:
        raise ConfigError("a simulated key proves nothing: it needs --user")
    # Only here: a daemon with real keys never loads the simulated one.
    from stepupd.devices.simulated import start_simulation  # noqa: PLC0415

    return [start_simulation(places.state / "simulated", options.simulate)]


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the command line, checked."""
    parser = argparse.ArgumentParser(prog="stepupd", description=__doc__, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"stepupd {__version__}")
    parser.add_argument("--user", action="store_true", help="serve one person, without root")
    parser.add_argument(
        "--simulate",
        metavar="N",
        nargs="?",
        type=int,
        const=1,
        default=0,
        help="with --user: use N simulated keys in place of real ones (default 1)",
    )
    parser.add_argument("--check", action="store_true", help="check the configuration and exit")
    parser.add_argument(
        "--set-aside-log",
        action="store_true",
        help="keep a damaged audit log under another name, so that a new one can begin",
    )
    parser.add_argument(
        "--move-key",
        metavar="PLACE",
        choices=("keyring", "file"),
        help="with --user: move the key into the keyring, or back into its file",
    )
    parser.add_argument(
        "--log-level", default="info", choices=("debug", "info", "warning", "error")
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()

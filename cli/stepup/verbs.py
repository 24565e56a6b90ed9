"""All verbs, as one Typer application."""

import importlib
from typing import Annotated

import typer

from stepup import (
    audit,
    completion,
    enroll,
    event,
    grants,
    keys,
    profile,
    recovery,
    run,
    status,
    verify,
)
from stepup.doctor import verb as doctor
from stepup.exits import list_exit_codes
from stepup.pam import verbs as pam
from stepup.policy import verbs as policy
from stepup.terminal import print_result

_EPILOG = f"\b\nExit status:\n{list_exit_codes()}\n\nSee stepup(1)."


def build_app() -> typer.Typer:
    """Return the whole command."""
    app = _build_group("Step-up authentication: prove that you are here.", epilog=_EPILOG)
    app.callback()(_start)
    app.command()(verify.verify)
    app.command(context_settings={"allow_interspersed_args": False})(run.run)
    app.command()(enroll.enroll)
    app.add_typer(_build_keys(), name="keys")
    app.command("recovery-codes")(recovery.make_codes)
    app.command()(status.status)
    app.command("grants")(grants.list_grants)
    app.command()(grants.revoke)
    app.add_typer(_build_profile(), name="profile")
    app.add_typer(_build_policy(), name="policy")
    app.add_typer(_build_event(), name="event")
    app.add_typer(_build_audit(), name="audit")
    app.add_typer(_build_pam(), name="pam")
    app.command()(doctor.doctor)
    app.command("demo")(_demo)
    app.command()(completion.completion)
    return app


def _build_keys() -> typer.Typer:
    group = _build_group("List, rename, remove enrolled keys.")
    group.command("list")(keys.list_keys)
    group.command("rename")(keys.rename_key)
    group.command("remove")(keys.remove_key)
    return group


def _build_profile() -> typer.Typer:
    group = _build_group("Show or forget what is usual for a person.")
    group.command()(profile.show)
    group.command()(profile.forget)
    return group


def _build_event() -> typer.Typer:
    group = _build_group("Tell the daemon what happened elsewhere.")
    group.callback()(event.about)
    group.command()(event.push)
    return group


def _build_policy() -> typer.Typer:
    group = _build_group("Check, test, explain and replay a policy.")
    group.command()(policy.check)
    group.command("test")(policy.run_tests)
    group.command()(policy.explain)
    group.command()(policy.replay)
    return group


def _build_audit() -> typer.Typer:
    group = _build_group("Read, follow and verify the audit log.")
    group.command()(audit.show)
    group.command()(audit.tail)
    group.command()(audit.verify)
    return group


def _build_pam() -> typer.Typer:
    group = _build_group("Ask for a step-up in sudo, su, login and others.")
    group.command("status")(pam.status)
    group.command("enable")(pam.enable)
    group.command("disable")(pam.disable)
    group.command("confirm")(pam.confirm)
    group.command("restore")(pam.restore)
    return group


def _build_group(text: str, epilog: str = "") -> typer.Typer:
    return typer.Typer(
        help=text,
        epilog=epilog or None,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer's signature
    if wanted:
        from stepupd import __version__

        print_result(f"stepup {__version__}")
        raise typer.Exit


def _start(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", is_eager=True, callback=_show_version),
    ] = False,
) -> None:
    pass


def _demo(
    *, is_sure: Annotated[bool, typer.Option("--yes", "-y", help="Touch by itself.")] = False
) -> int:
    """Try it all with a simulated key, without root."""
    # By name: the demo brings a whole daemon along.
    return int(importlib.import_module("stepup.demo").main(yes=is_sure) or 0)

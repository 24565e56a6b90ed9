"""`stepup pam`: enable, disable, confirm, status, restore. What they do is in actions.py."""

from typing import Annotated

import typer

from stepup import options

Service = Annotated[str, typer.Argument(metavar="SERVICE", help="For example sudo.")]
MaybeService = Annotated[str, typer.Argument(metavar="[SERVICE]", help="For example sudo.")]
Instead = Annotated[
    bool,
    typer.Option(
        "--instead-of-password/--after-password", help="How key and password go together."
    ),
]
Minutes = Annotated[float, typer.Option("--minutes", metavar="N", help="How long the trial is.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether you mean it.")]
All = Annotated[bool, typer.Option("--all", help="In every service.")]
Boot = Annotated[bool, typer.Option("--boot", help="Every trial is over.")]


def status(service: MaybeService = "", *, is_json: options.Json = False) -> None:
    """Say which services ask for a step-up, and what is on trial."""
    from stepup.pam.overview import show_status

    show_status(service, is_json=is_json)


def enable(
    context: typer.Context,
    service: Service,
    *,
    is_instead: Instead = False,
    minutes: Minutes = 5,
    user: options.User = "",
    is_sure: Yes = False,
) -> None:
    """Ask for a step-up in a PAM service, on trial.

    Your key is tried first. Unless `stepup pam confirm` follows within five minutes, the old file
    comes back by itself.
    """
    from stepup.pam import actions
    from stepup.pam.plan import Way

    way = Way.INSTEAD if is_instead else Way.AFTER
    actions.enable(context, service, way, minutes=minutes, user=user, is_sure=is_sure)


def disable(service: MaybeService = "", *, is_all: All = False) -> None:
    """Take the step-up out of a PAM service again."""
    from stepup.pam import actions

    actions.disable(service, is_all=is_all)


def confirm(service: MaybeService = "") -> None:
    """Keep what `enable` changed; everything, if none is named."""
    from stepup.pam import actions

    actions.confirm(service)


def restore(*, is_boot: Boot = False) -> None:
    """Restore what was not confirmed in time. Runs by itself."""
    from stepup.pam import actions

    actions.restore(is_boot=is_boot)

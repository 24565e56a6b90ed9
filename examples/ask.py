"""ask.py FILE: erase a file, but only after somebody has touched a key.

Needs nothing but `stepupd.client`, which needs nothing but Python's standard library.
"""  # noqa: INP001 - a program, not part of a package

import sys
from getpass import getpass
from pathlib import Path

from stepupd.client import Client, ClientError, StepUpAnswer


def show(text: str, is_error: bool) -> None:  # noqa: FBT001 - called by position
    """Tell the person who asks, for what, and when to touch the key."""
    sys.stderr.write(("error: " if is_error else "") + text + "\n")


def ask(question: str, is_hidden: bool) -> str | None:  # noqa: FBT001 - called by position
    """Ask for the key's PIN where policy wants one; None declines."""
    return getpass(question) if is_hidden else input(question)


def step_up(path: Path) -> StepUpAnswer:
    """Return the daemon's answer; leaving the `with` block early cancels the request."""
    with Client() as daemon:
        return daemon.step_up("files:erase", command=["erase", str(path)], on_show=show, on_ask=ask)


def main() -> None:
    """Erase the file, or say why not."""
    path = Path(sys.argv[1])
    try:
        answer = step_up(path)
    except ClientError as error:
        sys.exit(f"not erased: {error}")
    if not answer.is_allowed:
        sys.exit(f"not erased: {answer.text}")
    path.unlink()


if __name__ == "__main__":
    main()

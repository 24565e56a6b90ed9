"""Entry point: the fast path first, everything else after it. Only this file exits."""

import sys

_CANCELLED = 5
"""As in `exits`, which is not worth importing for it."""


def main() -> None:
    """Run the command and exit with its status."""
    try:
        code = _run(sys.argv[1:])
    except KeyboardInterrupt:
        code = _CANCELLED
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    started = None
    if arguments[:1] == ["verify"]:
        from stepup.fast_path import try_verify

        reply = try_verify(arguments[1:])
        if isinstance(reply, int):
            return reply
        started = reply
    elif arguments[:1] == ["status"]:
        from stepup.fast_path import try_status

        if try_status(arguments[1:]):
            return 0
    from stepup.app import run

    return run(arguments, started)


if __name__ == "__main__":
    main()

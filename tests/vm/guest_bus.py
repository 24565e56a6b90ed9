"""The guest's part of `bench.py` for D-Bus: polkit's check and ours, on one open connection.

    guest_bus.py ROUNDS        as ada; prints one JSON object of lists of milliseconds

By libsystemd, which is neither side's. Both say yes and ask nobody: polkit by the action's own
defaults, ours by a rule, and by a grant, which the first of the calls earns by a touch.
"""

import ctypes
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable

SYSTEMD = ctypes.CDLL("libsystemd.so.0")
POLKIT = (
    b"org.freedesktop.PolicyKit1",
    b"/org/freedesktop/PolicyKit1/Authority",
    b"org.freedesktop.PolicyKit1.Authority",
    b"CheckAuthorization",
)
OURS = (b"org.stepupd1", b"/org/stepupd1", b"org.stepupd1.Manager", b"Check")
# Whatever session asks: its defaults are yes three times.
POLKIT_ACTION = b"org.freedesktop.login1.inhibit-delay-shutdown"


def main() -> None:
    """Measure, and print what was measured."""
    bus = ctypes.c_void_p()
    check(SYSTEMD.sd_bus_open_system(ctypes.byref(bus)))
    name = ctypes.c_char_p()
    check(SYSTEMD.sd_bus_get_unique_name(bus, ctypes.byref(name)))
    subject = (b"system-bus-name", 1, b"name", b"s", name)
    asked = (*subject, POLKIT_ACTION, 0, 0, b"")
    questions: dict[str, Callable[[], None]] = {
        "polkit: one check": lambda: call(bus, POLKIT, b"(sa{sv})sa{ss}us", *asked),
        "stepupd, by rule: one check": lambda: call(bus, OURS, b"sa{sv}", b"cli:listed", 0),
        "stepupd, granted: one check": lambda: call(bus, OURS, b"sa{sv}", b"cli:verify", 0),
    }
    times: dict[str, list[float]] = defaultdict(list)
    for ask in questions.values():
        ask()  # a warm start for everyone, and the grant
    names = list(questions)
    for number in range(int(sys.argv[1])):
        at = number % len(names)
        for question in names[at:] + names[:at]:
            start = time.monotonic()
            questions[question]()
            times[question].append((time.monotonic() - start) * 1000)
    print(json.dumps(times))  # noqa: T201 - the result


def call(bus: ctypes.c_void_p, method: tuple[bytes, ...], signature: bytes, *words: object) -> None:
    """Call a method that answers a check. OSError: it failed, or said no."""
    reply = ctypes.c_void_p()
    done = SYSTEMD.sd_bus_call_method(bus, *method, None, ctypes.byref(reply), signature, *words)
    check(done)
    if method is POLKIT:
        check(SYSTEMD.sd_bus_message_enter_container(reply, ord("r"), b"bba{ss}"))
        is_authorized = ctypes.c_int()
        check(SYSTEMD.sd_bus_message_read(reply, b"b", ctypes.byref(is_authorized)))
        answer = is_authorized.value == 1
    else:
        verdict = ctypes.c_char_p()
        check(SYSTEMD.sd_bus_message_read(reply, b"s", ctypes.byref(verdict)))
        answer = verdict.value == b"allow"
    SYSTEMD.sd_bus_message_unref(reply)
    if not answer:
        raise PermissionError(f"{method[0].decode()} says no")


def check(status: int) -> None:
    """Raise OSError for what libsystemd returns when something failed."""
    if status < 0:
        raise OSError(-status, "sd-bus")


if __name__ == "__main__":
    main()

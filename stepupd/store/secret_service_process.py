"""The process that asks the Secret Service: one question, one line of answer, then it ends.

The law of this file: the backend is `keyring.backends.SecretService` and no other, because nothing
here asks the library to choose; and it never unlocks anything, since that would put up a prompt for
a daemon that nobody sees. Only the collection that the person made his default is used, and not the
one that is forgotten when he logs out.

    python -I -m stepupd.store.secret_service_process fetch NAME
    python -I -m stepupd.store.secret_service_process keep NAME  <SECRET

Answers "found TEXT", "missing", "kept", or "away" and why.
"""

import sys

import secretstorage
from keyring.backend import KeyringBackend
from keyring.backends import SecretService
from keyring.errors import InitError, KeyringLocked

SERVICE = "stepupd"
_FORGOTTEN = "/org/freedesktop/secrets/collection/session"
"""Held in memory only (Secret Service API, "Collections and Items")."""


class Backend(SecretService.Keyring):
    """The backend without its prompts, and without properties from the environment."""

    def __init__(self) -> None:
        pass

    def get_preferred_collection(self) -> secretstorage.Collection:
        """Return the default collection, open. Raises InitError, KeyringLocked."""
        bus = secretstorage.dbus_init()
        if not secretstorage.check_service_availability(bus):
            raise InitError("there is no Secret Service on the session bus")
        try:
            collection = secretstorage.get_collection_by_alias(bus, "default")
        except secretstorage.ItemNotFoundException as error:
            raise InitError("there is no default keyring") from error
        if collection.collection_path == _FORGOTTEN:
            raise InitError("the default keyring is forgotten at logout")
        if collection.is_locked():
            raise KeyringLocked("the keyring is locked")
        return collection

    def unlock(self, item: secretstorage.Item) -> None:
        """Refuse an item that is locked by itself. Raises KeyringLocked."""
        if item.is_locked():
            raise KeyringLocked("the item in the keyring is locked")


def answer(verb: str, name: str, secret: str) -> str:
    """Do what the verb says. Raises whatever the library raises."""
    backend: KeyringBackend = Backend()
    if verb == "keep":
        backend.set_password(SERVICE, name, secret)
        if backend.get_password(SERVICE, name) != secret:
            raise InitError("the keyring does not give back what it is given")
        return "kept"
    found = backend.get_password(SERVICE, name)
    return "missing" if found is None else f"found {found}"


def main() -> None:
    """Answer on standard output."""
    verb, name = sys.argv[1:]
    secret = sys.stdin.read() if verb == "keep" else ""
    try:
        line = answer(verb, name, secret)
    except Exception as error:  # noqa: BLE001 - whatever it was, the keyring is of no use now
        line = f"away {error}"
    print(line.replace("\n", " "))  # noqa: T201 - the answer


if __name__ == "__main__":
    main()

"""The administrator's files: policy and settings, read whole or not at all.

The law of this file: a configuration is complete or it is an error; whoever reloads keeps the old
`Policy` object when this raises, and each decision holds on to the one it started with.

No policy file at the start is not an error: the daemon runs, denies everything and says so, because
a daemon that does not start could not tell anybody why. At a reload it is one: an editor that saves
by deleting first must not lock everybody out for that moment. Nor may `policy.d` stand alone: with
the first file gone, what it denied would be open.
"""

import logging
import os
from pathlib import Path

from stepupd.core.errors import ConfigError
from stepupd.core.policy import Policy
from stepupd.store.file_checks import open_trusted_directory
from stepupd.store.policy_file import make_policy
from stepupd.store.settings import Settings, read_settings
from stepupd.store.toml_files import Document, read_document

__all__ = ["Settings", "load_policy", "load_settings"]

_LOG = logging.getLogger(__name__)

POLICY_FILE = "policy.toml"
POLICY_FOLDER = "policy.d"
SETTINGS_FILE = "stepupd.toml"

_MAX_FILES = 100
"""Per folder; with the size limit of each this bounds what is read."""


def load_policy(directory: Path, *, is_reload: bool = False) -> Policy:
    """Return the policy of `policy.toml`, then `policy.d/*.toml` by name. Raises ConfigError."""
    main = directory / POLICY_FILE
    others = _list_folder(directory / POLICY_FOLDER)
    try:
        documents = [read_document(main)]
    except FileNotFoundError:
        if is_reload or others:
            raise ConfigError(
                "no such file", file=str(main), hint="it may be empty, but it has to be there"
            ) from None
        _LOG.warning("%s: no policy file: everything is denied", main)
        documents = []
    for path in others:
        try:
            documents.append(read_document(path))
        except FileNotFoundError:
            raise ConfigError("vanished while it was read", file=str(path)) from None
    return make_policy(tuple(documents))


def load_settings(directory: Path) -> Settings:
    """Return the settings of `stepupd.toml`; what it leaves out, or all, is the default.

    Raises ConfigError.
    """
    path = directory / SETTINGS_FILE
    try:
        document = read_document(path)
    except FileNotFoundError:
        document = Document(str(path), "", {})
    return read_settings(document)


def _list_folder(folder: Path) -> list[Path]:
    try:
        descriptor = open_trusted_directory(folder)
    except FileNotFoundError:
        return []
    try:
        names = os.listdir(descriptor)  # noqa: PTH208 - of the descriptor that was checked
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=str(folder)) from error
    finally:
        os.close(descriptor)
    found = sorted(name for name in names if name.endswith(".toml") and not name.startswith("."))
    if len(found) > _MAX_FILES:
        raise ConfigError(f"more than {_MAX_FILES} files", file=str(folder))
    return [folder / name for name in found]

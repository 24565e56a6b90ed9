"""Who may import whom, and why; the house stands on this table."""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {"stepupd": ROOT / "stepupd", "stepup": ROOT / "cli" / "stepup"}

# package -> (what of ours it may import, why nothing else)
MAY_IMPORT = {
    "stepupd.core": ({"stepupd.core"}, "it decides, and touches nothing"),
    "stepupd.devices": ({"stepupd.core", "stepupd.devices"}, "keys know no store and no caller"),
    "stepupd.store": ({"stepupd.core", "stepupd.store"}, "what is on disk asks nobody"),
    "stepupd.host": ({"stepupd.core", "stepupd.host"}, "facts of the system, no decisions"),
    "stepupd.api": ({"stepupd.core", "stepupd.api"}, "doors are thin"),
    "stepupd.world": ({"stepupd.core"}, "it only says what the broker needs"),
    "stepupd.habits": ({"stepupd.core", "stepupd.world"}, "it is handed the rest"),
    "stepupd.lessons": ({"stepupd.core", "stepupd.world"}, "it is handed the rest"),
    "stepupd.commit": ({"stepupd.core", "stepupd.world"}, "it is handed the rest"),
    "stepupd.attempt": (set(), "it knows that something was given up, not what"),
    "stepupd.interruption": ({"stepupd.core"}, "it knows that something was cut, not what"),
    "stepupd.broker": (
        {
            "stepupd.attempt",
            "stepupd.commit",
            "stepupd.core",
            "stepupd.world",
            "stepupd.habits",
            "stepupd.interruption",
            "stepupd.lessons",
        },
        "it is handed the rest",
    ),
    "stepupd.service": (
        {"stepupd", "stepupd.core", "stepupd.broker", "stepupd.events", "stepupd.world"},
        "it manages through the broker",
    ),
    "stepupd.events": (
        {"stepupd.core", "stepupd.broker", "stepupd.world"},
        "it is a part of the service",
    ),
    "stepupd.places": (set(), "paths, nothing else"),
    "stepupd.client": (set(), "other programs take it alone"),
}

# What makes code impure, or slow to start. `json` and `hashlib` are pure.
IMPURE = {
    "asyncio", "logging", "os", "pathlib", "random", "secrets", "select", "signal", "socket",
    "sqlite3", "subprocess", "threading", "time", "tempfile", "shutil", "fido2",
}  # fmt: skip

CLI_MAY_IMPORT = {
    "stepupd.client": "every verb",
    "stepupd.core": "what a log entry says, lazily",
    "stepupd.store": "`audit` reads and verifies the log without a daemon, lazily",
    "stepupd.devices.simulated.control_client": "`demo` touches its simulated key, lazily",
}


def list_modules():
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            name = ".".join((package, *parts)).removesuffix(".__init__")
            yield name, path


def list_imports(path):
    """Return every module that a file imports, wherever in the file, and whether at its top."""
    tree = ast.parse(path.read_text())
    top = set(map(id, tree.body))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, id(node) in top
            yield from ((f"{node.module}.{alias.name}", id(node) in top) for alias in node.names)


def is_inside(name, package):
    return name == package or name.startswith(package + ".")


MODULES = dict(list_modules())


def find_row(name):
    return next((row for row in MAY_IMPORT if is_inside(name, row)), None)


@pytest.mark.parametrize("name", MODULES)
def test_imports_keep_to_the_table(name):
    row = find_row(name)
    if row is None:
        return
    allowed, why = MAY_IMPORT[row]
    ours = {module for module, _ in list_imports(MODULES[name]) if is_inside(module, "stepupd")}
    known = {module for module in ours if module in MODULES}

    strangers = {
        m for m in known if not any(is_inside(m, a) if a != "stepupd" else m == a for a in allowed)
    }

    assert not strangers, f"{name} imports {strangers}, but {why}"


@pytest.mark.parametrize("name", [n for n in MODULES if is_inside(n, "stepupd.core")])
def test_the_core_is_pure(name):
    """No I/O, no clock, no randomness, no threads: those libraries are not even imported."""
    imported = {module.split(".")[0] for module, _ in list_imports(MODULES[name])}

    assert not imported & IMPURE
    assert not re.search(r"\b(now|utcnow|today)\(\)", MODULES[name].read_text())


@pytest.mark.parametrize("name", [n for n in MODULES if is_inside(n, "stepup")])
def test_the_command_imports_little_of_the_daemon(name):
    for module, is_at_top in list_imports(MODULES[name]):
        if is_inside(module, "stepupd") and module in MODULES:
            allowed = next((a for a in CLI_MAY_IMPORT if is_inside(module, a)), None)
            assert allowed or module == "stepupd", f"{name} imports {module}"
            if (
                allowed
                and "lazily" in CLI_MAY_IMPORT[allowed]
                and is_inside(name, "stepup.__main__")
            ):
                assert not is_at_top


def test_every_row_of_the_table_exists():
    """A package that was renamed away would be checked by nobody."""
    for row in (*MAY_IMPORT, *CLI_MAY_IMPORT):
        assert any(is_inside(name, row) for name in MODULES), row


def test_only_declared_libraries_are_imported():
    """Whatever the daemon imports is the standard library, ours, or declared in pyproject.toml."""
    declared = {"cel_expr_python", "cryptography", "dbus_fast", "fido2", "maxminddb", "msgspec"}
    declared |= {"keyring", "secretstorage", "typer"}
    for name, path in MODULES.items():
        for module, _ in list_imports(path):
            first = module.split(".")[0]
            assert first in sys.stdlib_module_names or first in declared | set(PACKAGES), (
                name,
                first,
            )


def test_evidence_has_one_maker():
    """Only the checker may import the maker of evidence."""
    makers = {
        name
        for name, path in MODULES.items()
        if any(module.endswith("evidence.make_evidence") for module, _ in list_imports(path))
    }

    assert makers == {"stepupd.core.assertion"}

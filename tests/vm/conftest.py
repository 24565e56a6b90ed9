"""One machine for all tests here, back in the same state for each of them.

Collected only by `make vm-test` (and so by `make test` where it can): they need root and QEMU.
"""

import os

import pytest

collect_ignore_glob = [] if os.environ.get("STEPUPD_VM") else ["test_*.py"]


@pytest.fixture(scope="session")
def guest():
    """Boot, plug a software key in, save; install and configure the package, save once more."""
    from virtual_machine import VirtualMachine  # noqa: PLC0415 - as above
    from vm_support import Guest, find_package  # noqa: PLC0415 - nothing where nothing is collected

    package = find_package()
    with VirtualMachine() as machine:
        guest = Guest(machine)
        try:
            guest.start_key()
            machine.save("bare")
            guest.connect()
            guest.install(package)
            guest.configure()
        except AssertionError as error:
            error.add_note(guest.read_journal())
            raise
        machine.save("installed")
        yield guest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """Show what the guest's services said when a test fails."""
    report = yield
    guest = item.funcargs.get("guest")
    if report.failed and report.when == "call" and guest is not None:
        report.sections.append(("The guest's journal", guest.read_journal()))
    return report


@pytest.fixture
def bare(guest):
    """Give a machine with a key on which stepupd was never installed."""
    guest.machine.load("bare")
    return guest.connect()


@pytest.fixture
def installed(guest):
    """Give a machine where the package is installed, and sudo, su and login ask for ada's key."""
    guest.machine.load("installed")
    return guest.connect()

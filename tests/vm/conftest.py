"""One machine for all tests here, back in the same state for each of them.

Collected only on demand (`make vm-test`): these tests need root, QEMU and minutes.
"""

import os

import pytest

collect_ignore = [] if os.environ.get("STEPUPD_VM") else ["test_vm.py"]


@pytest.fixture(scope="session")
def guest():
    """Boot, plug a software key in, save; install and configure the package, save once more."""
    from virtual_machine import VirtualMachine  # noqa: PLC0415 - as above
    from vm_support import Guest, find_package  # noqa: PLC0415 - nothing where nothing is collected

    package = find_package()
    with VirtualMachine() as machine:
        guest = Guest(machine)
        guest.start_key()
        machine.save("bare")
        guest.connect()
        guest.install(package)
        guest.configure()
        machine.save("installed")
        yield guest


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

"""A simulated security key: a real CTAP 2.1 authenticator in software, with a scriptable hand.

Law: it runs only in user mode or beside a socket outside /run/stepupd, on a bus that somebody put
it on by name; it is never a fallback for a real key. Its private keys lie in a file and any program
of its owner can touch it, so what it proves is the software's word: it is told apart by its AAGUID
and its attestation, and whoever uses it must say so.
"""

from stepupd.devices.simulated.bus import PluggedKey, SimulatedBus
from stepupd.devices.simulated.control import SOCKET_NAME, ControlServer
from stepupd.devices.simulated.control_client import Control
from stepupd.devices.simulated.device import SimulatedDevice
from stepupd.devices.simulated.hid_port import HidConnection, HidPort
from stepupd.devices.simulated.key import SimulatedKey
from stepupd.devices.simulated.model import (
    AAGUID,
    NAME,
    AttestationFormat,
    CounterKind,
    Model,
)
from stepupd.devices.simulated.script import Command, Fault, Lie, Script, Step
from stepupd.devices.simulated.signing import Algorithm
from stepupd.devices.simulated.start import start_simulation

__all__ = [
    "AAGUID",
    "NAME",
    "SOCKET_NAME",
    "Algorithm",
    "AttestationFormat",
    "Command",
    "Control",
    "ControlServer",
    "CounterKind",
    "Fault",
    "HidConnection",
    "HidPort",
    "Lie",
    "Model",
    "PluggedKey",
    "Script",
    "SimulatedBus",
    "SimulatedDevice",
    "SimulatedKey",
    "Step",
    "start_simulation",
]

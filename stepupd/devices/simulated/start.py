"""A daemon's simulated keys, with the socket that stands for the hand that touches them."""

from pathlib import Path

from stepupd.devices.simulated.bus import SimulatedBus
from stepupd.devices.simulated.control import ControlServer
from stepupd.devices.simulated.key import SimulatedKey


def start_simulation(directory: Path, count: int) -> SimulatedBus:
    """Return a bus with `count` keys whose state lives in `directory`, ready to be controlled.

    The keys are `key.json`, `key-2.json`, ...; `key.sock` takes commands (see `control`). Raises
    ConfigError where the socket would stand beside the system's own.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    names = ["key.json", *(f"key-{number}.json" for number in range(2, count + 1))]
    keys = [SimulatedKey(directory / name) for name in names]
    ControlServer(directory, keys).start()
    return SimulatedBus(keys)

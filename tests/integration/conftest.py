"""What the tests of devices, broker and package share."""

import pytest
from broker_support import House
from deb_support import fresh, installed, package, unpacked  # noqa: F401 - fixtures
from device_support import SEAMS, Bench, all_threads_end, make_key


@pytest.fixture(params=SEAMS)
async def lay(request):
    """Make a bench with keys on it; afterwards no thread may still hold one of them."""
    benches = []

    def make(*keys) -> Bench:
        benches.append(Bench(SEAMS[request.param](keys)))
        return benches[-1]

    yield make
    for bench in benches:
        for key in bench.bus.keys:
            key.change_script(fault=None)
    await all_threads_end()


@pytest.fixture
async def house(tmp_path):
    """Make a machine with one key that is enrolled for ada and waits for touches."""
    made = House(tmp_path, make_key())
    await made.enrol(made.key)
    yield made
    await all_threads_end()
    made.close()

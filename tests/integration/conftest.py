"""What the tests of devices share."""

import pytest
from device_support import SEAMS, Bench, all_threads_end


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

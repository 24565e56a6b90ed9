"""The newest entries of the log, whatever its size."""

import pytest

from stepupd.store.audit_tail import read_tail


@pytest.mark.parametrize("count", [1, 3, 100])
@pytest.mark.parametrize("size", [0, 2, 50, 5000])
def test_the_last_lines_in_their_order(tmp_path, size, count):
    lines = [f'{{"seq":{number},"text":"é{"x" * 40}"}}' for number in range(size)]
    log = tmp_path / "audit.log"
    log.write_text("".join(line + "\n" for line in lines))

    assert read_tail(log, count) == tuple(lines[-count:])


def test_an_entry_that_is_being_written_is_not_shown(tmp_path):
    log = tmp_path / "audit.log"
    log.write_text('{"seq":0}\n{"seq":1')

    assert read_tail(log, 5) == ('{"seq":0}',)


def test_long_entries_are_bounded(tmp_path):
    """Fewer come back than were asked for, each of them whole."""
    log = tmp_path / "audit.log"
    log.write_text(("x" * 300_000 + "\n") * 20)

    found = read_tail(log, 20)
    assert 0 < len(found) < 20
    assert {len(entry) for entry in found} == {300_000}

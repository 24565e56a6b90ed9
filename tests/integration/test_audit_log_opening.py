"""A log is opened again: what a crash may leave is got over and told, anything else refused."""

import pytest
from audit_support import Site, grant
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from stepupd.core.entry import encode_line, encode_record
from stepupd.core.errors import ConfigError
from stepupd.core.merkle import hash_leaf
from stepupd.store.checkpoint_file import SLOT_SIZE
from stepupd.store.log_opening import set_aside


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def read_all(site):
    return {path: path.read_bytes() for path in site.root.rglob("*") if path.is_file()}


def test_opening_reads_the_end_only(site):
    """What lies before the last entry is for the verifier: start-up stays flat."""
    site.write(map(grant, range(50)))
    content = site.log.read_bytes()
    site.log.write_bytes(content.replace(b'"db7"', b'"db8"', 1))
    with site.open() as log:
        assert log.count() == 50
    assert site.verify().fault.line == 8


@pytest.mark.parametrize("kept", range(0, 700, 7))
def test_a_crash_after_any_byte_of_an_entry_is_survived_and_told(site, kept):
    """The checkpoint is that of before; of the last entry some, all or nothing was written."""
    site.write([grant()] * 2)
    before = site.checkpoint.read_bytes()
    site.write([grant()])
    site.checkpoint.write_bytes(before)
    *whole, last = site.lines()
    site.log.write_bytes(b"".join(whole) + last[:kept])
    is_whole = kept >= len(last)
    torn = 0 if is_whole else kept
    with site.open() as log:
        assert log.count() == 2 + is_whole
        log.append_now(grant())
    told = [entry for entry in site.entries() if entry["kind"] == "recovered"]
    assert [(entry["lost_bytes"], entry["replayed"]) for entry in told] == (
        [(torn, int(is_whole))] if kept else []
    )
    report = site.verify()
    assert (report.fault, report.lost_bytes, report.uncovered) == (None, torn, 0)


def test_blocks_that_never_reached_the_disk_count_as_torn(site):
    """After a power loss a file may have its size, but zeros for content."""
    site.write([grant()] * 2)
    with site.log.open("ab") as stream:
        stream.write(bytes(500) + b'"}\n' + b"more\n")
    with site.open() as log:
        log.append_now(grant())
    assert site.verify().lost_bytes == 508


def test_what_is_torn_stays_until_the_log_can_tell(site):
    """Opening alone changes nothing: a crash of the next daemon loses no trace."""
    site.write([grant()])
    with site.log.open("ab") as stream:
        stream.write(b'{"seq":1,')
    before = site.log.read_bytes()
    site.open().close()
    assert site.log.read_bytes() == before
    with site.open() as log:
        log.append_now(grant())
        log.append_now(grant())
    told = [entry["kind"] for entry in site.entries()]
    assert told == ["step-up", "recovered", "step-up", "step-up"]


def read_slots(site):
    content = site.checkpoint.read_bytes()
    return {int(content[at:].split(b"\n", 2)[1]) for at in (0, SLOT_SIZE)}


def test_the_newer_checkpoint_is_never_the_one_overwritten(site):
    for size in (1, 3, 5):
        with site.open() as log:
            log.append_now(grant())
            assert read_slots(site) == {size - 1, size}
            log.append_now(grant())
            assert read_slots(site) == {size, size + 1}


def test_a_torn_checkpoint_leaves_the_one_before(site):
    site.write([grant()])
    site.write([grant()])
    content = bytearray(site.checkpoint.read_bytes())
    sizes = [content[at:].split(b"\n", 2)[1] for at in (0, SLOT_SIZE)]
    at = sizes.index(b"2") * SLOT_SIZE
    content[at + 100 : at + SLOT_SIZE] = bytes(SLOT_SIZE - 100)
    site.checkpoint.write_bytes(content)
    with site.open() as log:
        assert log.count() == 2
        log.append_now(grant())
    assert site.verify().recoveries == 1


def cut_last(site):
    site.log.write_bytes(b"".join(site.lines()[:-1]))


def cut_one_byte(site):
    site.log.write_bytes(site.log.read_bytes()[:-1])


def empty(site):
    site.log.write_bytes(b"")


def delete(site):
    site.log.unlink()


def change_last(site):
    site.log.write_bytes(site.log.read_bytes().replace(b'"db2"', b'"db3"'))


def add_bytes_before(site):
    site.log.write_bytes(b" " + site.log.read_bytes())


def add_garbage_line(site):
    site.log.write_bytes(site.log.read_bytes() + b"garbage\n")


def add_copy_of_last(site):
    site.log.write_bytes(site.log.read_bytes() + site.lines()[-1])


def add_after(site, seq, previous):
    line = encode_line(seq, previous, 0.0, encode_record(grant()))
    site.log.write_bytes(site.log.read_bytes() + line + b"\n")


def add_with_another_number(site):
    add_after(site, 4, hash_leaf(site.lines()[-1][:-1]))


def add_after_another_entry(site):
    add_after(site, 3, hash_leaf(site.lines()[0][:-1]))


def add_endless_line(site):
    site.log.write_bytes(site.log.read_bytes() + b"x" * 1_000_000)


def delete_checkpoint(site):
    site.checkpoint.unlink()


def empty_checkpoint(site):
    site.checkpoint.write_bytes(b"")


@pytest.mark.parametrize(
    "attack",
    [
        cut_last,
        cut_one_byte,
        empty,
        delete,
        change_last,
        add_bytes_before,
        add_garbage_line,
        add_copy_of_last,
        add_with_another_number,
        add_after_another_entry,
        add_endless_line,
        delete_checkpoint,
        empty_checkpoint,
    ],
)
def test_a_log_that_does_not_fit_its_checkpoint_is_not_opened(site, attack):
    site.write(map(grant, range(3)))
    attack(site)
    before = {path: content for path, content in read_all(site).items() if content}
    with pytest.raises(ConfigError) as refused:
        site.open()
    assert "set" in refused.value.hint
    assert "aside" in refused.value.hint
    assert {path: content for path, content in read_all(site).items() if content} == before


def test_another_key_does_not_continue_a_log(site):
    site.write([grant()])
    with pytest.raises(ConfigError, match="signed"):
        site.open(key=Ed25519PrivateKey.generate())


def test_a_log_is_set_aside_on_purpose_and_a_new_one_begins(site):
    site.write([grant()] * 2)
    old, vkey = site.log.read_bytes(), site.vkey
    cut_last(site)
    moved = set_aside(site.log, site.checkpoint, now=1_700_000_000.0)
    assert [path.name for path in moved] == [
        "audit.log.20231114T221320Z",
        "audit.checkpoint.20231114T221320Z",
    ]
    assert old.startswith(moved[0].read_bytes())
    assert site.write([grant()]) == [0]
    assert site.vkey == vkey
    with pytest.raises(ConfigError, match="exists"):
        set_aside(site.log, site.checkpoint, now=1_700_000_000.0)


def test_setting_aside_goes_on_after_an_interruption(site):
    site.write([grant()])
    site.log.rename(site.log.with_name("moved"))
    assert len(set_aside(site.log, site.checkpoint, now=0.0)) == 1
    assert site.write([grant()]) == [0]


def test_a_log_in_use_is_not_set_aside(site):
    with site.open(), pytest.raises(ConfigError, match="another process"):
        set_aside(site.log, site.checkpoint, now=0.0)

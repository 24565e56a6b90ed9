"""Every method of the D-Bus door with every disturbance, on a whole daemon: one table.

A cell is what the caller is told: why the ceremony ended, the name of an error, or the gist of the
answer; `=` is as alone, that is, unaffected. Of a caller who cannot be told, it is what stands in
the log. After each cell nobody was let in but who was told so, the next caller is answered by the
next touch, and no key blinks for anybody else.
"""

import asyncio
import shutil
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import pytest_asyncio
from act_support import ANSWERS, METHODS, Act, act_of
from daemon_support import Machine
from dbus_fast import Variant
from dbus_support import FOLDER, PATIENCE, error_of
from disturbance_support import NEW_KEY, OWN_KEY, ROOT, Scene, call_as, scene_in
from forgery_support import meddle

# alone: nothing happens            goes: the caller leaves the bus; or the bus itself is restarted
# types: of arguments and options   eve: a stranger, even root, answers, cancels, replies for others
# unplug: ada's key is pulled out   sleep: logind says that the machine is about to
# twice: the same, twice at once    either: of two things that are true, the one that is heard first
TABLE = """
method           alone     goes        types      eve unplug      sleep          twice
StepUp           proved    caller-gone BadRequest =   device-gone cancelled      =+declined
StepUpFor        proved    caller-gone BadRequest =   device-gone cancelled      =+declined
StepUpForProcess proved    caller-gone BadRequest =   device-gone cancelled      =+declined
Check            proved    caller-gone BadRequest =   device-gone cancelled      =+declined
CheckFor         proved    caller-gone BadRequest =   device-gone cancelled      =+declined
CheckForProcess  proved    caller-gone BadRequest =   device-gone cancelled      =+declined
Enroll           proved    caller-gone BadRequest =   device-gone cancelled      =+declined
RenameCredential proved    caller-gone BadRequest =   device-gone cancelled      =+declined
RemoveCredential proved    caller-gone BadRequest =   device-gone cancelled      =+declined
ListCredentials  blue      nothing     BadRequest =   =           =              =+=
ListGrants       cli:grant nothing     BadRequest =   =           =              =+=
Revoke           1         nothing     BadRequest =   =           =              =+0
PushEvent        1         nothing     BadRequest =   =           =              =+0
Status           1-key     nothing     BadRequest =   =           =              =+=
AuditTail        1-entry   nothing     BadRequest =   =           =              =+=
Reload           done      nothing     BadRequest =   =           =              =+=
Respond          proved    caller-gone BadRequest =   device-gone NoSuchCeremony =+NoSuchQuestion
Decline          cancelled either      BadRequest =   =           NoSuchCeremony =+NoSuchQuestion
Cancel           cancelled either      BadRequest =   =           NoSuchCeremony =+heard
"""
(_, *COLUMNS), *ROWS = (line.split() for line in TABLE.strip().splitlines())
CELLS = {
    (member, column): cell.replace("=", cells[0])
    for member, *cells in ROWS
    for column, cell in zip(COLUMNS, cells, strict=True)
}
EITHER = {"cancelled", "caller-gone"}
SERVED_FOR_OTHERS = [
    name for name, method in METHODS.items() if method.is_for_client or method.is_for_process
]
WRONG = {"s": Variant("u", 7), "d": Variant("x", 7), "as": Variant("s", "x")}


async def undisturbed(act: Act) -> str:
    await act.begin()
    return await act.end()


async def caller_leaves(act: Act) -> str:
    """In the middle of the ceremony, or when the call is sent, but not yet read."""
    before = act.scene.count_entries()
    await act.begin()
    with act.scene.frozen():
        await act.send()
        await act.leave()
        await act.scene.has_left(act.by.name)
    return await read_word(act, before)


async def bus_restarts(act: Act) -> str:
    """Kill it in the same moments."""
    before = act.scene.count_entries()
    await act.begin()
    with act.scene.frozen():
        await act.send()
        await act.scene.stop_bus()
    await act.scene.start_bus()
    await act.scene.is_up()
    return await read_word(act, before)


async def wrong_types(act: Act) -> str:
    """Too few, too many, others; afterwards a good call is as good as ever."""
    if act.member in ANSWERS:
        await act.begin()
    good = act.method.signature
    wrong = [("ay", [b"abc"]), ("t", [1]), ("v", [Variant("s", "x")])]
    wrong += [(good + "u", [*act.make_body(), 1]), *([("", [])] if good else [])]
    if act.method.options is not None:
        options = act.method.options | {"uid": "s"}
        before = act.make_body()[:-1]
        wrong += [(good, [*before, {name: WRONG[kind]}]) for name, kind in options.items()]
    words = {error_of(await act.by.send(act.write(*one))) for one in wrong}
    if act.member not in ANSWERS:
        await act.begin()
    assert await act.end() == CELLS[act.member, "alone"]
    return "+".join(words)


async def stranger_meddles(act: Act) -> str:
    await act.begin()
    async with call_as(act.scene.bus, ROOT) as eve:
        await meddle(eve, act)
        word, _ = await asyncio.gather(act.end(), meddle(eve, act))
    return word


async def key_is_pulled(act: Act) -> str:
    await act.begin()
    act.scene.machine.key(OWN_KEY).unplug()
    return await act.end(hand="off")


async def machine_sleeps(act: Act) -> str:
    await act.begin()
    await act.scene.falls_asleep()
    word = await act.end(hand="off")
    await act.scene.wakes_up()
    return word


async def twice(act: Act) -> str:
    """One touch, or one answer, is for one of the two."""
    if act.member in ANSWERS:
        await act.begin()
        return "+".join(await asyncio.gather(act.end(), act.repeat()))
    async with act_of(act.scene, act.member) as other:
        await act.begin()
        if not act.is_ceremony:
            return "+".join(sorted(await asyncio.gather(act.end(), other.end()), reverse=True))
        other.start()
        first = await act.end()
        return f"{first}+{await other.end(hand='deny')}"


COLUMN_OF = {
    undisturbed: "alone",
    caller_leaves: "goes",
    bus_restarts: "goes",
    wrong_types: "types",
    stranger_meddles: "eve",
    key_is_pulled: "unplug",
    machine_sleeps: "sleep",
    twice: "twice",
}


async def read_word(act: Act, before: int) -> str:
    """Return what the log says of a call whose caller cannot be told."""
    if act.is_ceremony:
        return await act.scene.read_end(before)
    await act.scene.prove()
    first, *_ = await act.scene.read_log(before)
    return "nothing" if is_witness(first) else first["kind"]


def is_witness(entry: dict) -> bool:
    """Whether it is of `Scene.prove`, by which we ask whether all is well."""
    return entry.get("request", {}).get("action") == "cli:witness"


@pytest.fixture(scope="module")
def folder():
    """Make a directory whose sockets have short paths, for all tests of this file together."""
    made = Path(tempfile.mkdtemp(prefix="stepup-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_scene(folder: Path):
    async with scene_in(Machine(folder / "m", keys=2)) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def scene(shared_scene: Scene, member: str):
    """Give the daemon as each test finds it; the test has to leave it so that this is possible."""
    shared_scene.put_back(has_new_key=member == "Enroll")
    return shared_scene


def test_the_table_is_whole():
    """Every method that the introspection data name has a row, and every disturbance a column."""
    root = ET.parse(FOLDER / "org.stepupd1.xml").getroot()  # noqa: S314 - ours
    assert [row[0] for row in ROWS] == [method.get("name") for method in root.iter("method")]
    assert list(dict.fromkeys(COLUMN_OF.values())) == COLUMNS


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("disturb", COLUMN_OF, ids=lambda disturb: disturb.__name__)
@pytest.mark.parametrize("member", [row[0] for row in ROWS])
async def test_the_caller_is_told(scene, member, disturb):
    before = scene.count_entries()
    async with asyncio.timeout(PATIENCE), act_of(scene, member) as act:
        word = await disturb(act)

    cell = CELLS[member, COLUMN_OF[disturb]]
    assert word in (EITHER if cell == "either" else {cell})
    await all_is_well(scene, before, is_allowed="proved" in word or disturb is wrong_types)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("member", SERVED_FOR_OTHERS)
async def test_whom_a_service_asks_for_leaves(scene, member):
    """The ceremony is over, and the service is told."""
    before = scene.count_entries()
    async with asyncio.timeout(PATIENCE), act_of(scene, member) as act:
        await act.begin()
        act.person.leave()
        assert await act.end(hand="off") == "caller-gone"

    await all_is_well(scene, before, is_allowed=False)


async def all_is_well(scene: Scene, before: int, *, is_allowed: bool) -> None:
    """Nobody else was let in, and one touch is for the next caller: nothing is left running."""
    scene.machine.key(NEW_KEY).unplug()
    scene.machine.key(OWN_KEY).plug()
    await scene.all_dark()
    blinks = scene.count_blinks()
    assert await scene.prove() == "proved"
    await scene.all_dark()
    assert scene.count_blinks() == blinks + 1
    entries = [entry for entry in await scene.read_log(before) if not is_witness(entry)]
    allowed = [entry for entry in entries if entry.get("verdict", {}).get("answer") == "allow"]
    assert is_allowed or allowed == []

"""Runs the transcripts beside this file: what ada sees, does and hears, and what is recorded.

    key blue            a key is plugged in (`enrolled key blue`, `... with pin 123456`)
    policy: touch       what the one rule asks (`..., kept 5m per session`)
    $ sudo COMMAND      ada asks (also `stepup ...`; `A$` and `B$` where two terminals matter)
    > TEXT              the next line she reads
    < TEXT              she types
    = allow (proved)    the verdict, after which nothing more is shown
    | TEXT              the next entry of the audit log; every entry is listed

Actions: touch, decline, plug, unplug (a key); wait (seconds); ctrl-c, hang up.
"""

import asyncio
import re
import shlex
from pathlib import Path

import pytest
from broker_support import OWN, SUDO, House
from core_support import make_policy, make_rule
from device_support import PATIENCE, all_threads_end, blink, idle, make_key, touch
from terminal import Terminal

from stepupd.core.call import StepUpCall
from stepupd.core.effects import TroubleKind
from stepupd.core.errors import RequestError
from stepupd.core.model import Claim, Level, Scope

SCRIPTS = sorted(Path(__file__).parent.glob("*.txt"))


class Play:
    """One transcript under way."""

    def __init__(self, folder: Path) -> None:
        self.house = House(folder, policy=make_policy())
        self.keys = {}
        self.terminals: dict[str, Terminal] = {}
        self.read = 0

    async def perform(self, line: str) -> None:
        if found := re.fullmatch(r"([A-Z]?)([$><=|])(?: (.*))?", line):
            await self.converse(*found.groups(default=""))
        elif found := re.fullmatch(r"(enrolled )?key (\w+)(?: with pin (\d+))?", line):
            await self.add_key(*found.groups())
        elif found := re.fullmatch(r"policy: (\w+)(?:, kept (\d+)m per (\w+))?", line):
            level, minutes, scope = found.groups()
            kept = {"max_age": int(minutes) * 60, "scope": Scope(scope)} if minutes else {}
            self.house.policy = make_policy(make_rule(Level[level.upper()], **kept))
        else:
            await self.act(*line.split())

    async def converse(self, name: str, sign: str, text: str) -> None:
        if sign == "|":
            assert describe(self.house.entries()[self.read]) == text
            self.read += 1
            return
        terminal = self.terminals.setdefault(name, Terminal(3 + len(self.terminals)))
        if sign == "$":
            terminal.gone = asyncio.get_running_loop().create_future()
            terminal.asked = asyncio.ensure_future(self.run(terminal, split(text)))
        elif sign == ">":
            assert await asyncio.wait_for(terminal.lines.get(), PATIENCE) == text
        elif sign == "<":
            terminal.typed.put_nowait(text)
        else:
            assert await asyncio.wait_for(terminal.asked, PATIENCE) == text
            assert terminal.lines.empty(), terminal.lines.get_nowait()

    async def run(self, terminal: Terminal, words: list[str]) -> str:
        """Run a command line; return its verdict."""
        service = self.house.service
        try:
            match words:
                case ["sudo", *command]:
                    call = StepUpCall("pam:sudo", "ada", terminal.session, Claim(tuple(command)))
                    result = await service.step_up(SUDO, call, terminal)
                case ["stepup", "verify", action, *level]:
                    asked = Level[level[0].upper()] if level else None
                    call = StepUpCall(action, "", terminal.session, level=asked)
                    result = await service.step_up(OWN, call, terminal)
                case ["stepup", "enroll", name]:
                    result = await service.enroll(OWN, "", name, terminal)
                case ["stepup", "keys", "remove", name]:
                    result = await service.remove_credential(OWN, "", name, terminal)
        except RequestError as error:
            return f"error ({error})"
        if result.verdict.text:
            await terminal.show(result.verdict.text, is_error=True)
        return f"{result.verdict.answer.value} ({result.verdict.reason.value})"

    async def add_key(self, is_enrolled: str | None, name: str, pin: str | None) -> None:
        self.keys[name] = make_key(pin=pin)
        self.house.bus.add(self.keys[name])
        if is_enrolled:
            await self.house.enrol(self.keys[name], name)
            self.read = len(self.house.entries())

    async def act(self, verb: str, what: str) -> None:
        match verb:
            case "touch":
                await touch(self.keys[what])
            case "decline":
                await blink(self.keys[what])
                assert self.keys[what].deny()
            case "plug" | "unplug":
                getattr(self.keys[what], verb)()
            case "wait":
                self.house.clock.now += float(what)
            case "press" | "hang":
                kind = TroubleKind.CANCELLED if verb == "press" else TroubleKind.HANG_UP
                self.terminals[""].hang_up(kind)
            case _:
                raise AssertionError("nobody knows how")


def split(text: str) -> list[str]:
    r"""Return the words of a command line, with `\uXXXX` for what no text file should hold."""
    return shlex.split(re.sub(r"\\u(\w{4})", lambda found: chr(int(found[1], 16)), text))


def describe(entry: dict) -> str:
    """Return an audit entry in one line."""
    verdict, parts = entry.get("verdict"), [entry["kind"]]
    if verdict:
        parts.append(f"{verdict['answer']} ({verdict['reason']})")
    parts += [f"level {entry['level']}"] if "level" in entry else []
    parts += [f"key {entry['credential']['name']}"] if "credential" in entry else []
    return ", ".join(parts + (["alarm"] if "alarm" in entry else []))


@pytest.fixture
async def play(tmp_path):
    """Begin a transcript; at its end every key is let go, however it went."""
    made = Play(tmp_path)
    yield made
    for terminal in made.terminals.values():
        terminal.hang_up()
    await asyncio.wait([terminal.asked for terminal in made.terminals.values()])
    await all_threads_end()
    made.house.close()


@pytest.mark.parametrize("path", SCRIPTS, ids=[path.stem for path in SCRIPTS])
async def test_scenario(path, play):
    """The transcript is what happens, line by line; no entry of the log is left out."""
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            await play.perform(line.strip())
        except AssertionError as error:
            pytest.fail(f"{path.name}:{number}: {line}\n{error}", pytrace=False)
    assert all(terminal.asked.done() for terminal in play.terminals.values())
    await idle(*play.keys.values())
    assert play.read == len(play.house.entries())
    assert play.house.verify().is_intact


def test_there_are_scenarios():
    """The folder was found."""
    assert len(SCRIPTS) > 10

"""`stepup policy replay`: the audit log under another policy."""

import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from time import time

from stepup.entries import parse_since
from stepup.errors import CommandError
from stepup.exits import ExitCode
from stepup.log_paths import explain_file_error, find_log, open_log
from stepup.policy.comparison import describe_tally, say_tally
from stepup.policy.files import Loaded, explain_config_error, find_installed, load
from stepup.policy.groups import list_all_groups
from stepup.terminal import clean, print_error, print_json, print_result
from stepupd.core.errors import ConfigError
from stepupd.core.policy import Policy
from stepupd.core.rehearsal.tally import Tally
from stepupd.store.past_log import Task, replay_log


def replay_policy(
    candidate: Sequence[Path], since: str, log: Path | None, html: Path | None, *, is_json: bool
) -> ExitCode:
    """Print how the candidate compares with what happened."""
    start = parse_since(since, time())
    path = find_log(log).log
    open_log(path).close()
    try:
        loaded = load(candidate)
        tally = replay_log(_make_task(path, loaded, start))
    except ConfigError as error:
        raise explain_config_error(error) from None
    if html is not None:
        _write_page(html, tally, loaded, path)
    if is_json:
        print_json(describe_tally(tally, loaded.policy, str(path)))
    else:
        print_result(say_tally(tally, loaded.policy, str(path)))
    if tally.unreadable:
        print_error("error", "some lines cannot be read", "stepup audit verify")
        return ExitCode.DAMAGED
    return ExitCode.ALLOWED


def _make_task(path: Path, loaded: Loaded, since: str) -> Task:
    return Task(
        log=path,
        candidate=loaded.documents,
        since=since,
        lowest=_find_lowest(loaded.policy),
        zone=datetime.fromtimestamp(time()).astimezone().tzinfo,
        groups=list_all_groups(),
    )


def _find_lowest(policy: Policy) -> int | None:
    """Return the score from which a request is risky: the candidate's, or today's lowest step."""
    if policy.ladder:
        return policy.ladder[0].score
    try:
        ladder = load(()).policy.ladder if find_installed().exists() else ()
    except (ConfigError, CommandError):
        return None
    return ladder[0].score if ladder else None


def _write_page(path: Path, tally: Tally, loaded: Loaded, log: Path) -> None:
    from stepup.policy.page import draw_page

    files = [document.file for document in loaded.documents]
    try:
        path.write_text(draw_page(tally, loaded.policy, str(log), files), encoding="utf-8")
    except OSError as error:
        raise explain_file_error(error, path) from None
    if sys.stderr is not None:
        print(f"stepup: the page is in {clean(str(path))}", file=sys.stderr)

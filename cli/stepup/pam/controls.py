"""What PAM does with a module's return code: the word or the brackets in the second column.

Pure. Source: pam.d(5).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from stepup.pam.stack_file import StackError

Action = str | int
"""ok, done, bad, die, ignore, reset; or how many modules to jump over."""

CODES = [
    "success", "open_err", "symbol_err", "service_err", "system_err", "buf_err", "perm_denied",
    "auth_err", "cred_insufficient", "authinfo_unavail", "user_unknown", "maxtries",
    "new_authtok_reqd", "acct_expired", "session_err", "cred_unavail", "cred_expired", "cred_err",
    "no_module_data", "conv_err", "authtok_err", "authtok_recover_err", "authtok_lock_busy",
    "authtok_disable_aging", "try_again", "ignore", "abort", "authtok_expired", "module_unknown",
    "bad_item", "conv_again", "incomplete",
]  # fmt: skip

_ACTIONS = ("ok", "done", "bad", "die", "ignore", "reset")
_PAIR = re.compile(r"\s*([a-z_]+)\s*=\s*([a-z]+|[1-9][0-9]{0,2})(?=\s|$)")


@dataclass(frozen=True, slots=True)
class Control:
    """An action for each return code."""

    named: Mapping[str, Action]
    default: Action

    def act(self, code: str) -> Action:
        """Return what to do after this code."""
        return self.named.get(code, self.default)


def _make(success: Action, default: Action, **named: Action) -> Control:
    return Control({"success": success, "new_authtok_reqd": success, **named}, default)


_WORDS = {
    "required": _make("ok", "bad", ignore="ignore"),
    "requisite": _make("ok", "die", ignore="ignore"),
    "sufficient": _make("done", "ignore"),
    "optional": _make("ok", "ignore"),
}


def parse_control(text: str) -> Control:
    """Return the meaning of a control, without brackets. Raises StackError."""
    if text in _WORDS:
        return _WORDS[text]
    named: dict[str, Action] = {}
    at = 0
    while at < len(text.rstrip()):
        pair = _PAIR.match(text, at)
        if pair is None or pair[1] not in (*CODES, "default"):
            raise StackError(f"the control {text!r} is not understood")
        named[pair[1]] = _read_action(pair[2], text)
        at = pair.end()
    if not named:
        raise StackError("an empty control")
    return Control(named, named.pop("default", "bad"))


def _read_action(word: str, text: str) -> Action:
    if word.isdigit():
        return int(word)
    if word not in _ACTIONS:
        raise StackError(f"the control {text!r} is not understood")
    return word

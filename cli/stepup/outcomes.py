"""What a verdict means to the person, and what to do next."""

from stepup.errors import CommandError
from stepup.exits import ExitCode, find_verdict_code
from stepup.replies import Answer, Verdict, read_number, read_text, read_texts, read_verdict
from stepup.terminal import clean, print_json
from stepup.times import say_age

HINTS = {
    "no-credential": "enrol a key with: stepup enroll",
    "no-authenticator": "plug in an enrolled key; `stepup keys list` names them",
    "no-rule": "an administrator can add a rule for this action to the policy",
    "not-permitted": "only root may ask for another account",
    "busy": "try again once the other request is done",
    "pin-not-set": "set one, for example with: fido2-token -S DEVICE",
    "timeout": "run it again, and touch the key while it blinks",
    "internal": "see the log of stepupd: journalctl -u stepupd",
    "counter-regressed": "if you cannot explain it, remove the key: stepup keys remove NAME",
}
"""What to do next, by reason code."""


class RefusedError(CommandError):
    """The daemon's answer is no."""

    def __init__(self, verdict: Verdict) -> None:
        text = verdict.text or f"the answer is {verdict.word!r}"
        super().__init__(
            f"{text} ({verdict.reason})",
            find_verdict_code(verdict.word, verdict.reason),
            reason=verdict.reason,
            hint=HINTS.get(verdict.reason, ""),
        )
        self.label = "denied" if verdict.word == "deny" else "error"


def print_answer(answer: Answer) -> ExitCode:
    """Print an answer as JSON, whatever it is, and return its status."""
    verdict = read_verdict(answer)
    print_json(answer)
    return find_verdict_code(verdict.word, verdict.reason)


def require_allowed(answer: Answer) -> None:
    """Raise RefusedError unless the verdict is "allow"."""
    verdict = read_verdict(answer)
    if verdict.word != "allow":
        raise RefusedError(verdict)


def say_allowed(answer: Answer) -> str:
    """Return how it was allowed, in one line."""
    parts = []
    if answer.get("level") is not None:
        methods = "+".join(read_texts(answer, "amr"))
        parts.append(read_text(answer, "level") + (f" ({methods})" if methods else ""))
    if answer.get("auth_age") is not None:
        parts.append(say_age(read_number(answer, "auth_age")))
    if answer.get("rule"):
        parts.append(f"rule {read_text(answer, 'rule')!r}")
    if answer.get("entry") is not None:
        parts.append(f"audit entry {int(read_number(answer, 'entry'))}")
    return clean("allowed: " + ", ".join(parts) if parts else "allowed")

"""What people read: who asks, for what, why; what happened; what to do next.

Each text fits 80 columns, needs no colour, and holds foreign words only through `display`.
"""

from stepupd.core.display import show_command, show_name, show_reason
from stepupd.core.effects import Notice
from stepupd.core.model import Claim, Reason, StepUpRequest

WIDTH = 80

REASON_TEXTS = {
    Reason.RULE_ALLOWS: "",
    Reason.GRANT: "",
    Reason.PROVED: "",
    Reason.NO_RULE: "No policy rule covers this action, so the answer is no.",
    Reason.RULE_DENIES: "Policy says no to this action.",
    Reason.RULE_IN_ERROR: "A policy rule could not be decided, so the answer is no.",
    Reason.RISK_DENIES: "This request looks too risky to be allowed.",
    Reason.NOT_PERMITTED: "You may not ask this for that account.",
    Reason.NO_CREDENTIAL: "No key that policy accepts is enrolled for this account.",
    Reason.NO_AUTHENTICATOR: "None of your keys was plugged in in time.",
    Reason.ALREADY_ENROLLED: "This key is enrolled already.",
    Reason.TIMEOUT: "There was no answer in time.",
    Reason.CANCELLED: "Cancelled.",
    Reason.DECLINED: "Declined on the key.",
    Reason.TOO_MANY_TRIES: "Too many wrong tries.",
    Reason.PIN_BLOCKED: "The key's PIN is blocked. Unplug it; if that does not help, reset it.",
    Reason.PIN_NOT_SET: "The key needs a PIN before it can verify you: set one first.",
    Reason.PIN_UNSPENT: "The key's last PIN tries were left unspent.",
    Reason.UV_BLOCKED: "The key's own verification is blocked; its PIN unblocks it.",
    Reason.BUSY: "Another request or program is using the key.",
    Reason.DEVICE_GONE: "The key was unplugged.",
    Reason.DEVICE_SILENT: "The key stopped answering. Unplug it and plug it in again.",
    Reason.DEVICE_FAULT: "The key gave an answer that makes no sense.",
    Reason.UNSUPPORTED: "The key cannot do what policy asks.",
    Reason.BAD_ENCODING: "The key's answer is malformed.",
    Reason.TYPE_MISMATCH: "The answer was made for another purpose.",
    Reason.CHALLENGE_MISMATCH: "The answer belongs to another request.",
    Reason.ORIGIN_MISMATCH: "The answer was made for another origin.",
    Reason.RP_ID_MISMATCH: "The answer was made for another machine.",
    Reason.UP_MISSING: "The key answered without a touch.",
    Reason.UV_MISSING: "The key did not verify the person.",
    Reason.RESERVED_FLAGS: "The key set flags that no standard defines.",
    Reason.BACKUP_STATE: "The key contradicts itself about backup.",
    Reason.BACKUP_CHANGED: "The key's backup property changed since enrolment.",
    Reason.COUNTER_REGRESSED: "The key's counter went back: it may have been cloned.",
    Reason.UNKNOWN_CREDENTIAL: "The answer came from a credential that is not this account's.",
    Reason.ALGORITHM_MISMATCH: "The key used another algorithm than at enrolment.",
    Reason.BAD_SIGNATURE: "The key's signature is wrong.",
    Reason.BAD_ATTESTATION: "The key's attestation is wrong.",
    Reason.LEVEL_TOO_LOW: "The proof is weaker than policy asks.",
    Reason.BAD_CODE: "That is no unused recovery code of this account.",
    Reason.CALLER_GONE: "The caller went away.",
    Reason.INTERNAL: "stepupd failed, so the answer is no. Its log says why.",
}
"""A sentence for each reason code; empty where nothing needs saying."""


def say_reason(reason: Reason) -> str:
    """Return the sentence for a reason."""
    return REASON_TEXTS[reason]


def say_request(request: StepUpRequest) -> str:
    """Return who asks for what and why, as the lines above every question."""
    words = [f"{show_name(request.action)} asks for {show_name(request.subject.name)}"]
    if request.session and request.session.tty:
        words.append(f"on {show_name(request.session.tty)}")
    if request.claim.rhost:
        words.append(f"from {show_name(request.claim.rhost)}")
    sentence = " ".join(words) + "."
    # Foreign names may be long; then each stands on a line of its own.
    first = [sentence] if len(sentence) <= WIDTH else ["\n  ".join(words) + "."]
    return "\n".join(first + _say_claim(request.claim))


def _say_claim(claim: Claim) -> list[str]:
    lines = []
    if claim.command:
        lines += ["It says it wants to run:", f"  {show_command(claim)}"]
    if claim.reason:
        lines.append(f"It says why: {show_reason(claim.reason)}")
    return lines


def say_touch(request: StepUpRequest, *, is_simulated: bool = False) -> str:
    """Return the text shown while a key waits for its touch."""
    key = "the simulated key (no real proof)" if is_simulated else "your key"
    return f"{say_request(request)}\nTouch {key} to allow it; press Ctrl-C to refuse."


_NOTICES = {
    Notice.INSERT: "Plug in your key.",
    Notice.WRONG_KEY: "That key is not enrolled for this account; use another one.",
    Notice.BUSY: "Another program is using the key; waiting for it.",
    Notice.QUEUED: "Another request is being answered first; waiting.",
}


def say_notice(notice: Notice, touch_text: str) -> str:
    """Return what to show while a key is in use."""
    return touch_text if notice is Notice.TOUCH else _NOTICES[notice]


def say_enrol(subject: str, *, is_simulated: bool = False) -> str:
    """Return the text shown while a new key waits for its touch."""
    key = "simulated key" if is_simulated else "new key"
    return f"Touch the {key} to enrol it for {show_name(subject)}."


def say_second_touch(*, is_simulated: bool = False) -> str:
    """Return the text of the trial right after enrolment."""
    key = "the simulated key" if is_simulated else "it"
    return f"Touch {key} once more, to prove that it works."


def ask_pin_text(request: StepUpRequest, key: str, retries: int) -> str:
    """Return the question for a key's PIN."""
    tries = "1 try" if retries == 1 else f"{retries} tries"
    return f"{say_request(request)}\nPIN of {show_name(key)} ({tries} left): "


def ask_recovery_text(request: StepUpRequest) -> str:
    """Return the question for a recovery code."""
    return (
        f"{say_request(request)}\n"
        "No key of yours answered. A recovery code works once, in its place.\n"
        "Recovery code (Enter gives up): "
    )


def ask_consent_text(key: str, retries: int) -> str:
    """Return the question before one of the last PIN tries is spent."""
    tries = "1 PIN try" if retries == 1 else f"{retries} PIN tries"
    return (
        f"{show_name(key)} has only {tries} left; at none it locks itself for good.\n"
        'Type "yes" to spend one: '
    )

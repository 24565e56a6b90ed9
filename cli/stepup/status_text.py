"""What the daemon tells about itself, as people read it. No typer here: it is on the fast path."""

from stepup.replies import Answer, read_flag, read_number, read_text, read_texts
from stepup.terminal import clean


def say_status(answer: Answer) -> str:
    """Return the status, one line for each fact."""
    devices = ", ".join(read_texts(answer, "authenticators")) or "none plugged in"
    simulated = " (simulated keys: no real proof)" if read_flag(answer, "is_simulated") else ""
    facts = (
        ("stepupd", f"{read_text(answer, 'version')}, {read_text(answer, 'mode')} mode{simulated}"),
        ("relying party", read_text(answer, "rp_id")),
        ("policy", _say_policy(answer)),
        ("keys now", devices),
        ("keys enrolled", _count(answer, "credentials")),
        ("grants", _count(answer, "grants")),
        ("audit entries", _count(answer, "entries")),
    )
    return "\n".join(f"{name + ':':<15}{clean(fact)}" for name, fact in facts)


def _say_policy(answer: Answer) -> str:
    count = int(read_number(answer, "rules"))
    rules = "1 rule" if count == 1 else f"{count} rules"
    observed = "; risk is only recorded" if read_flag(answer, "is_observed") else ""
    return f"{rules}, {read_text(answer, 'policy_digest')[:16]}{observed}"


def _count(answer: Answer, name: str) -> str:
    return str(int(read_number(answer, name)))

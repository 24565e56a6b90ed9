"""Ask a checker what it says, as a value."""

from stepupd.core.errors import AuthenticatorError


def reason_of(check, *given, **named):
    """Return the reason of a refusal, or None. Any other error is the test's failure."""
    try:
        check(*given, **named)
    except AuthenticatorError as error:
        return error.reason
    return None

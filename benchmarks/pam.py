"""libpam, called in this process: the stack is read once, then asked as often as wanted."""

import ctypes
from ctypes import CFUNCTYPE, POINTER, byref, c_char_p, c_int, c_void_p
from pathlib import Path

MODULE = Path(__file__).parents[1] / "build" / "pam" / "pam_stepup.so"

_CONVERSE = CFUNCTYPE(c_int, c_int, c_void_p, c_void_p, c_void_p)


class _Conversation(ctypes.Structure):
    _fields_ = (("converse", _CONVERSE), ("data", c_void_p))


class Stack:
    """One open PAM transaction for a service file with these lines."""

    def __init__(self, directory: Path, service: str, line: str, user: str) -> None:
        (directory / service).write_text(line + "\n")
        self._pam = ctypes.CDLL("libpam.so.0")
        self._pam.pam_start_confdir.argtypes = (
            c_char_p,
            c_char_p,
            POINTER(_Conversation),
            c_char_p,
            POINTER(c_void_p),
        )
        self._pam.pam_authenticate.argtypes = (c_void_p, c_int)
        # Texts are taken and not shown; kept here because libpam only borrows it.
        self._conversation = _Conversation(_CONVERSE(lambda *_: 0), None)
        self._handle = c_void_p()
        code = self._pam.pam_start_confdir(
            service.encode(),
            user.encode(),
            byref(self._conversation),
            bytes(directory),
            byref(self._handle),
        )
        if code != 0:
            raise OSError(f"pam_start said {code}")

    def authenticate(self) -> None:
        """Ask; raises OSError unless the answer is PAM_SUCCESS."""
        code = self._pam.pam_authenticate(self._handle, 0)
        if code != 0:
            raise OSError(f"pam_authenticate said {code}")

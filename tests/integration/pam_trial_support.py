"""A root directory with one PAM service in it, for trials that touch no real one."""

import os
from dataclasses import replace

from stepup.pam.pam_files import PamPlaces, read_service
from stepup.pam.trial_record import Moment
from stepup.pam.trials import Change, begin_trial

OLD = b"#%PAM-1.0\n@include common-auth\n"
NEW = OLD + b"auth\trequired\tpam_stepup.so\n"
NOW = Moment("this boot", 1000.0)
LATER = Moment("this boot", 1300.0)
NEXT_BOOT = Moment("next boot", 5.0)


class Tree:
    """A root directory with one service in it."""

    def __init__(self, root):
        self.places = PamPlaces(root)
        self.path = self.places.services / "sudo"
        self.places.services.mkdir(parents=True)
        (root / "var/lib").mkdir(parents=True)
        self.path.write_bytes(OLD)
        self.path.chmod(0o640)
        os.chown(self.path, 0, 42)

    def begin(self, arm=lambda: None, **changes):
        change = Change(read_service(self.places, "sudo"), NEW, 300.0)
        return begin_trial(self.places, replace(change, **changes), arm, NOW)

    def read(self):
        return self.path.read_bytes() if self.path.exists() else None

    def list_names(self):
        return sorted(path.name for path in self.places.services.iterdir())

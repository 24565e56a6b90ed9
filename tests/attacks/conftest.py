"""What the attacks on the PAM module and on the package have in common."""

import pytest
from deb_support import fresh, installed, package  # noqa: F401 - fixtures
from pam_support import Host, build


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path, build())

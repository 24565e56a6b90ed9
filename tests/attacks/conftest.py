"""What the attacks on the PAM module have in common."""

import pytest
from pam_support import Host, build


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path, build())

"""The demonstration, as a newcomer's first command runs it."""

import os
import subprocess
import sys

import pytest

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="a PID namespace of one's own needs root")
DEMO = [sys.executable, "-m", "stepup", "demo", "--yes"]


def _play(*prefix):
    return subprocess.run(
        [*prefix, *DEMO], capture_output=True, text=True, check=False, timeout=120
    )


@ROOT_ONLY
def test_the_demo_does_all_it_says_even_where_no_session_leader_is_to_be_seen():
    """Below a CI runner or a container's first process there is none: it starts a session."""
    played = _play("unshare", "--pid", "--fork", "--mount-proc")

    assert played.returncode == 0, played.stdout + played.stderr
    for step in range(1, 11):
        assert f"\n{step}. " in played.stdout
    assert "That was all of it" in played.stdout


@ROOT_ONLY
def test_the_demo_leaves_real_sudo_out_where_a_container_allows_no_mounts():
    """Root without CAP_SYS_ADMIN: it says so, and plays the rest."""
    played = _play("setpriv", "--bounding-set", "-sys_admin")

    assert played.returncode == 0, played.stdout + played.stderr
    assert "Left out here: it needs a mount namespace" in " ".join(played.stdout.split())
    assert "That was all of it" in played.stdout

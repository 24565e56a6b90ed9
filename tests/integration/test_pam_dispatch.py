"""Our model of libpam against libpam: random stacks of pam_debug.so, and what each returns."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pam_support import build

from stepup.pam.controls import CODES
from stepup.pam.dispatch import run
from stepup.pam.flat_stack import flatten
from stepup.pam.stack_file import StackError, parse_file

PAM_DID_NOT_START = 91
RETURNED = ("success", "auth_err", "ignore", "user_unknown", "authinfo_unavail", "new_authtok_reqd")
ACTIONS = st.sampled_from(["ok", "done", "bad", "die", "ignore", "reset", "1", "2", "3"])
BRACKETS = st.dictionaries(st.sampled_from([*RETURNED, "default"]), ACTIONS, min_size=1).map(
    lambda pairs: "[" + " ".join(f"{code}={action}" for code, action in pairs.items()) + "]"
)
WORDS = st.sampled_from(["required", "requisite", "sufficient", "optional"])
MODULE = st.builds(
    "auth {} pam_debug.so auth={}".format, st.one_of(WORDS, BRACKETS), st.sampled_from(RETURNED)
)
WAYS = st.sampled_from(["auth include", "auth substack", "@include"])
# By absolute paths: libpam 1.5 looks for others in /etc/pam.d, whatever pam_start_confdir said.
INCLUSION = st.builds("{} DIR/{}".format, WAYS, st.sampled_from("ab"))
DEEPER = st.builds("{} DIR/b".format, WAYS)
OTHER_KIND = st.just("account required pam_permit.so")


def write(*kinds):
    return st.lists(st.one_of(*kinds), max_size=6).map(lambda lines: "\n".join([*lines, ""]))


STACKS = st.fixed_dictionaries(
    {
        "stepup": write(MODULE, MODULE, INCLUSION, OTHER_KIND),
        "a": write(MODULE, MODULE, DEEPER),
        "b": write(MODULE),
    }
)


@pytest.fixture(scope="module")
def directory():
    made = Path(tempfile.mkdtemp(prefix="stepup"))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def harness():
    return build() / "test" / "harness"


def ask_libpam(harness, directory, texts):
    for name, text in texts.items():
        (directory / name).write_text(text.replace("DIR", str(directory)))
    (directory / "other").write_text("auth required pam_deny.so\n")
    done = subprocess.run(
        [harness],
        env={"HARNESS_CONFDIR": str(directory), "HARNESS_CONV": "quiet", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == PAM_DID_NOT_START:
        return False
    assert done.returncode == 0, done
    return done.stdout.split()[1] == "0"


def ask_model(texts):
    files = {f"DIR/{name}": text.encode() for name, text in texts.items()}
    steps = flatten(parse_file(files["DIR/stepup"], "stepup"), files)
    codes = [step.entry.arguments[0].partition("=")[2] if step.control else "" for step in steps]
    return run(steps, codes)


@settings(max_examples=300)
@given(STACKS)
def test_the_model_says_what_libpam_says(harness, directory, texts):
    """Included, substacked, jumped over: in or out, it is the same."""
    assert ask_model(texts) == ask_libpam(harness, directory, texts)


@pytest.mark.parametrize("code", [code for code in CODES if code not in ("incomplete", "abort")])
@pytest.mark.parametrize("control", ["required", "sufficient", "[success=1 default=ignore]"])
def test_every_return_code_has_its_name(harness, directory, code, control):
    """A code that libpam calls otherwise would be judged wrongly."""
    line = f"auth {control} pam_debug.so auth={code}\n"
    texts = {"stepup": line + "auth required pam_deny.so\nauth required pam_permit.so\n"}
    texts["stepup"] = texts["stepup"].replace("pam_deny.so", "pam_debug.so auth=auth_err")
    texts["stepup"] = texts["stepup"].replace("pam_permit.so", "pam_debug.so auth=success")

    assert ask_model(texts) == ask_libpam(harness, directory, texts)


@pytest.mark.parametrize(
    "text",
    [
        "auth required pam_debug.so auth=success # auth=auth_err\n",
        "  AUTH\trequired \\\n   pam_debug.so \\\n auth=success\n",
        "# auth required pam_deny.so \\\nauth required pam_debug.so auth=success",
        "-auth required pam_debug.so auth=success\n",
        "auth [success=ok  default = die] pam_debug.so auth=success\n",
        "auth [required] pam_debug.so auth=success\n",
        "auth required pam_debug.so [auth=success]\n",
        "auth required pam_debug.so auth=success\n\n#\n   \n",
    ],
)
def test_odd_but_good_lines_mean_the_same(harness, directory, text):
    """Comments, continuations, brackets, case: read as libpam reads them."""
    assert ask_libpam(harness, directory, {"stepup": text})
    assert ask_model({"stepup": text})


@pytest.mark.parametrize(
    "text",
    [
        "auth requierd pam_debug.so auth=success\n",
        "auth [success=okay] pam_debug.so auth=success\n",
        "auth required\n",
        "auht required pam_debug.so auth=success\n",
        "auth required pam_debug.so auth=success \\\n",
        "auth required pam_debug.so auth=success\n@include nowhere\n",
    ],
)
def test_what_libpam_refuses_is_not_worked_with(harness, directory, text):
    """Where libpam only fails, we do not even begin."""
    assert not ask_libpam(harness, directory, {"stepup": text})
    with pytest.raises(StackError):
        ask_model({"stepup": text})

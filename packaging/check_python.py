"""Say in one line what is missing before anything is installed."""

import sys

if sys.version_info < (3, 11):
    sys.exit("stepupd needs Python 3.11 or newer: make PYTHON=python3.11 ...")
try:
    import ensurepip  # noqa: F401
    import venv  # noqa: F401
except ImportError:
    sys.exit("Python cannot make a virtual environment: apt-get install python3-venv")

"""stepupd: the step-up authentication daemon."""

__version__ = "0.1.0"

"""`stepup demo`: one step-up from end to end, in a scratch directory, with a simulated key."""

from stepup.demo.play import main

__all__ = ["main"]

"""DECIDES. No I/O, no clock, no randomness, no threads, no logging."""

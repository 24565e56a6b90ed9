"""Trying a policy out: reading it critically, testing it, replaying the log under it."""

"""REMEMBERS on disk: credentials, counters, grants, audit log, configuration."""

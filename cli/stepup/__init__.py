"""The stepup command: ask for a step-up, enrol keys, read the audit log."""

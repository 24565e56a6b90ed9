"""ASKS the operating system: peer, session, clocks, accounts, systemd."""

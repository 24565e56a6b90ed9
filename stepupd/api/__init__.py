"""LETS callers IN: the relay socket (PAM) and the JSON-RPC socket."""

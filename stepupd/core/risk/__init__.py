"""How unusual a request is: what is observed, what is usual, and what the difference weighs."""

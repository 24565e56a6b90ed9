"""`stepup policy`: check a policy, run its tests, explain it, replay it over the past."""

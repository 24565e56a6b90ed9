"""`stepup pam`: our line in PAM's service files, without locking anybody out."""

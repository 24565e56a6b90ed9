"""TOUCHES authenticators."""

"""Reverse-mode differentiation: the tape and the public gradient check."""

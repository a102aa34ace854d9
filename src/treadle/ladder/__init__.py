"""Ladders: a baseline and one change after the other, each judged by repeated seeds."""

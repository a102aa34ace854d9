"""Readers of data: one module per source or file format."""

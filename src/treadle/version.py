"""The version of Treadle, in one place."""

VERSION = "0.1.0"

"""The two languages that people read: each text stands in both, side by side, where it is used."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from treadle.errors import TreadleError

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")


@dataclass(frozen=True)
class Words:
    """The texts of one language.

    Args:
        language: "en" or "zh".

    Raises:
        TreadleError: another language is asked for.

    >>> Words("zh")("loss", "损失")
    '损失'
    """

    language: Language = "en"

    def __post_init__(self) -> None:
        if self.language not in LANGUAGES:
            raise TreadleError(f'language should be "en" or "zh", found {self.language!r}')

    def __call__(self, en: str, zh: str) -> str:
        """Return the one of two texts that is in this language."""
        return zh if self.language == "zh" else en


ENGLISH = Words("en")


def system_language() -> Language:
    """Return the language of the system's messages, as LC_ALL, LC_MESSAGES or LANG name it: Chinese, else English."""
    said = next((value for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (value := os.environ.get(name))), "")
    return "zh" if said.lower().startswith("zh") else "en"

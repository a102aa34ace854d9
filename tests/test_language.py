"""Both languages of texts, and which one a system speaks."""

import pytest

from treadle.errors import TreadleError
from treadle.language import ENGLISH, LANGUAGES, Words, system_language


def test_a_text_is_given_in_its_language():
    assert Words()("loss", "损失") == Words("en")("loss", "损失") == ENGLISH("loss", "损失") == "loss"
    assert Words("zh")("loss", "损失") == "损失"
    assert LANGUAGES == ("en", "zh")
    assert Words("zh") == Words("zh") != ENGLISH


@pytest.mark.parametrize("language", ["de", "EN", "zh-CN", "", None, 1])
def test_another_language_is_refused(language):
    with pytest.raises(TreadleError, match=r'^language should be "en" or "zh", found '):
        Words(language)


@pytest.mark.parametrize(
    ("variables", "language"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_TW.UTF-8"}, "zh"),
        ({"LANG": "ZH"}, "zh"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "en_US.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "", "LC_ALL": ""}, "zh"),  # POSIX: what is empty is not set
        ({"LANG": "en_US.UTF-8", "LC_CTYPE": "zh_CN.UTF-8"}, "en"),  # characters, not messages
    ],
)
def test_the_language_of_the_system_is_that_of_its_messages(variables, language, monkeypatch):
    for name in ("LC_ALL", "LC_MESSAGES", "LANG", "LC_CTYPE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert system_language() == language

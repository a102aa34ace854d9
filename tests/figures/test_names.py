"""Names in lines: nothing is lost, no line is too wide, Latin words stay whole."""

from hypothesis import given
from hypothesis import strategies as st

from treadle.figures.names import cut, wrapped
from treadle.text import columns

LATIN, CHINESE = st.text("abcxyz", min_size=1, max_size=9), st.text("批大小的损失", min_size=1, max_size=9)
NAMES = st.lists(LATIN | CHINESE | st.sampled_from(["，", "：", "-"]), max_size=12).map(" ".join)


@given(NAMES, st.integers(10, 40))
def test_lines_hold_all_of_a_name(name, width):
    lines = wrapped(name, width, lines=1000).split("\n")
    assert "".join("".join(lines).split()) == "".join(name.split())
    for line in lines:
        assert columns(line) <= width
        assert line == line.strip()
    for word in name.split():
        assert not word.isascii() or any(word in line for line in lines)


@given(NAMES, st.integers(10, 40), st.integers(1, 3))
def test_a_name_that_is_too_long_ends_with_dots(name, width, most):
    whole, lines = wrapped(name, width, lines=1000).split("\n"), wrapped(name, width, lines=most).split("\n")
    assert len(lines) == min(len(whole), most)
    assert lines[-1].endswith("…") == (len(whole) > most)
    assert lines[:-1] == whole[: len(lines) - 1]


def test_chinese_is_parted_anywhere_but_in_latin_words_and_before_punctuation():
    assert wrapped("类别不是数：十个输出，softmax 与交叉熵", 28) == "类别不是数：十个输出，\nsoftmax 与交叉熵"
    assert wrapped("一二三四五，六", 10) == "一二三四\n五，六"


@given(st.text("ab损失", max_size=30), st.integers(3, 20))
def test_a_name_is_cut_in_its_middle(name, most):
    found = cut(name, most)
    assert columns(found) <= most or found == name
    head, _, tail = found.partition("…")
    assert name.startswith(head)
    assert name.endswith(tail)

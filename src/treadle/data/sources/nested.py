"""Nested JSON arrays of numbers, read as a stream: the text is never whole in memory, nor are the numbers."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Never

from treadle.data.sources.stream import open_stream
from treadle.errors import DataError

_CHUNK = 1 << 20
_LONGEST_LIST = 1 << 23  # bytes of text between two brackets
_ALLOWED = b"0123456789+-.eE,[] \t\r\n"
_FOREIGN = re.compile(rb"[^0-9+\-.eE,\[\] \t\r\n]")
_BRACKET = re.compile(rb"[\[\]]")


@dataclass(frozen=True, slots=True)
class Leaf:
    """The text inside an innermost list, and its offset in the decoded file."""

    path: Path
    text: bytes
    offset: int

    @property
    def empty(self) -> bool:
        """Whether the list holds nothing."""
        return not self.text.strip()

    def numbers(self) -> list[float]:
        """The numbers of the list; raises DataError with the offset of the first that is none.

        >>> Leaf(Path("a.json"), b"1, 2.5", 0).numbers()
        [1, 2.5]
        """
        import json

        def refuse(constant: str) -> Never:
            raise DataError(f"{self.path}: offset {self.offset}: {constant} is not JSON")

        try:
            numbers: list[float] = json.loads(f"[{self.text.decode('ascii')}]", parse_constant=refuse)
        except json.JSONDecodeError as error:
            position = self.offset + max(error.pos - 1, 0)
            raise DataError(f"{self.path}: offset {position}: expected numbers, found {error.msg}") from error
        except DataError:
            raise
        except ValueError as error:  # an integer of more digits than Python converts
            raise DataError(f"{self.path}: offset {self.offset}: {error}") from error
        return numbers


def read_lists(
    path: Path,
    opened: Callable[[int, int], None],
    leaf: Callable[[int, Leaf], None],
    closed: Callable[[int, int], None],
    *,
    depth: int,
    limit_bytes: int,
) -> None:
    """Walk one array of arrays of numbers: `opened(depth, offset)`, `leaf(depth, Leaf)`, `closed(depth, offset)`.

    Raises DataError with the offset for deeper nesting, anything but numbers, text after the array, a truncated or
    damaged file, and more than `limit_bytes` of decoded text.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "a.json"
    >>> _ = file.write_text("[[1, 2], [3]]", encoding="utf-8")
    >>> read_lists(file, lambda *_: None, lambda d, l: print(d, l.numbers()), lambda *_: None, depth=2, limit_bytes=99)
    2 [1, 2]
    2 [3]
    """
    level = 0
    before = b""  # the bracket last seen
    for gap, offset, bracket in _brackets(path, limit_bytes):
        at = offset + len(gap)
        if bracket == b"":
            if level:
                raise DataError(
                    f"{path}: truncated at offset {at}: expected {level} more closing brackets, found the end"
                )
            if not before:
                raise DataError(f"{path}: offset 0: expected an array, found {_shown(gap)}")
            if gap.strip():
                raise DataError(f"{path}: trailing text at offset {_first(gap, offset)}: expected the end of the file")
        elif before and not level:
            raise DataError(
                f"{path}: trailing text at offset {_first(gap + bracket, offset)}: expected the end of the file"
            )
        elif bracket == b"[":
            expected = b"," if before == b"]" else b""
            if gap.strip() != expected:
                wanted = "a comma between two lists" if expected else "a list"
                raise DataError(
                    f"{path}: offset {_first(gap + bracket, offset)}: expected {wanted}, found {_shown(gap)}"
                )
            level += 1
            if level > depth:
                raise DataError(f"{path}: offset {at}: expected lists nested {depth} deep, found one deeper")
            opened(level, at)
        else:
            if before == b"[":
                leaf(level, Leaf(path, gap, offset))
            elif not before:
                raise DataError(f"{path}: offset {at}: expected an array, found a closing bracket")
            elif gap.strip():
                raise DataError(f"{path}: offset {_first(gap, offset)}: expected a bracket, found {_shown(gap)}")
            closed(level, at)
            level -= 1
        before = bracket or before


def _brackets(path: Path, limit: int) -> Iterator[tuple[bytes, int, bytes]]:
    # Yields (text since the last bracket, its offset, bracket), at the end of the file with no bracket.
    with open_stream(path) as stream:
        rest, offset = b"", 0
        while chunk := stream.read(_CHUNK):
            end = offset + len(rest)
            if end + len(chunk) > limit:
                raise DataError(f"{path}: offset {limit}: expected at most {limit} bytes of decoded text, found more")
            if chunk.translate(None, _ALLOWED):
                _refuse_foreign(path, chunk, end)
            text, start = rest + chunk, 0
            for match in _BRACKET.finditer(text, len(rest)):
                yield text[start : match.start()], offset + start, match.group()
                start = match.end()
            rest, offset = text[start:], offset + start
            if len(rest) > _LONGEST_LIST:
                raise DataError(f"{path}: offset {offset}: expected a bracket within {_LONGEST_LIST} bytes, found none")
        yield rest, offset, b""


def _refuse_foreign(path: Path, chunk: bytes, offset: int) -> Never:
    match: Any = _FOREIGN.search(chunk)
    found = match.group().decode("latin-1")
    reason = {
        "{": "an object, expected arrays of numbers only",
        '"': "a string, expected arrays of numbers only",
        "N": "NaN, expected finite numbers",
        "I": "Infinity, expected finite numbers",
    }.get(found, f"{found!r}, which no array of numbers holds")
    raise DataError(f"{path}: offset {offset + match.start()}: found {reason}")


def _first(text: bytes, offset: int) -> int:
    return offset + len(text) - len(text.lstrip())


def _shown(text: bytes) -> str:
    return repr(text.strip()[:20].decode("latin-1")) if text.strip() else "nothing"

"""A drawing of a network as SVG text: a box a layer, from top to bottom, and the branches of residual blocks."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from treadle.nn.module import Module, Residual, Sequential, Shape, described
from treadle.nn.summary import sample_shape
from treadle.tree import leaves

WIDTH = 900  # of the drawing, at most
MARGIN = 20
TEXT, LINE = 12.0, 17.0  # size of text, and from one line to the next
PAD = 9.0  # between a box and its text
GAP = 20.0  # between two boxes, for an arrow
COLUMN = 26.0  # between the layers of a residual block and its shortcut
RADIUS = 9.0  # of the sign where both are added
BOXES = (380.0, 320.0, 260.0, 210.0, 170.0)  # widths to try, until the drawing is narrow enough
FONTS = (
    "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'PingFang SC', 'Microsoft YaHei', "
    "'Noto Sans CJK SC', 'WenQuanYi Micro Hei', sans-serif"
)
STYLE = (  # for this drawing alone, on a page that has others
    f".treadle text {{ font-family: {FONTS}; font-size: {TEXT:g}px; fill: #0f172a }} "
    ".treadle .name { font-weight: bold } .treadle .less { fill: #475569 } "
    ".treadle .box { fill: #f8fafc; stroke: #334155 } .treadle .has-parameters { fill: #dbe7fb } "
    ".treadle .frame { fill: none; stroke: #64748b; stroke-dasharray: 5 3 } "
    ".treadle .line { fill: none; stroke: #334155; stroke-width: 1.2 } "
    ".treadle .sign { fill: #ffffff; stroke: #334155 }"
)
ARROW = (
    '<marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M 0 0 L 8 4 L 0 8 z" fill="#334155"/></marker>'
)


@dataclass(frozen=True)
class _Picture:
    """A part of the drawing with its upper left corner at (0, 0); data enters and leaves it at x = axis."""

    width: float
    height: float
    axis: float
    svg: str


def draw(network: Module, data: object) -> str:
    """Draw a network as SVG: a box for each layer with its name, settings, output shape and parameters.

    Residual blocks have their shortcut beside the layers, and ⊕ where both are added. Modules inside modules stand in
    a frame with their name; where a module computes in a way of its own, no arrows lead from part to part. Boxes of
    layers with parameters are tinted. A reader that shows titles has the whole path and all settings of each box.

    Args:
        network: any module.
        data: a data set, the three sets, or the shape of one sample.

    Returns:
        An SVG document, up to 900 pixels wide.

    Raises:
        ShapeError: a layer cannot take what the layer before it gives; the message names it.

    >>> import treadle as td
    >>> drawing = draw(td.nn.MODELS["lenet"](10), (1, 28, 28))
    >>> drawing[:4], "Conv2d(20, 5, padding=2)" in drawing, "(20, 14, 14)" in drawing
    ('<svg', True, True)
    """
    shape = sample_shape(data)
    output = network.output_shape(shape)
    for width in BOXES:
        inside = _stack([_label(f"input {shape}"), _module("", "", network, shape, width), _label(f"output {output}")])
        if inside.width + 2 * MARGIN <= WIDTH:
            break
    size = _parameters(network, shape) or "no parameters"
    about = f"{type(network).__name__}: {size}, input {shape}, output {output}"
    about = _fitting(about, WIDTH - 2 * MARGIN, bold=True)
    columns = max(inside.width, _wide(about, bold=True)) + 2 * MARGIN
    rows = inside.height + 2 * MARGIN + LINE
    scale = min(1.0, WIDTH / columns)  # below 1 only where blocks stand in blocks many times over
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="treadle" width="{columns * scale:.0f}" '
            f'height="{rows * scale:.0f}" viewBox="0 0 {columns:.1f} {rows:.1f}" role="img" aria-labelledby="about">',
            f'<title id="about">{escape(about)}</title>',
            f"<defs><style>{STYLE}</style>{ARROW}</defs>",
            f'<rect width="{columns:.1f}" height="{rows:.1f}" fill="#ffffff"/>',
            _text(MARGIN, MARGIN + 2, about, "name"),
            _at((columns - inside.width) / 2, MARGIN + LINE, inside.svg),
            "</svg>",
            "",
        ]
    )


def _module(path: str, name: str, module: Module, shape: Shape, width: float) -> _Picture:
    """Draw a module as what it is: layers in order, a residual block, parts without an order, or one box."""
    parts = [
        (part, _module(f"{path}.{part}" if path else part, part, one, inputs, width))
        for part, one, inputs in module.children(shape)
    ]
    if not parts:
        return _box(path, name or type(module).__name__, module, shape, width)
    own = type(module)
    if isinstance(module, Residual) and own.forward is Residual.forward and own.children is Residual.children:
        branch = dict(parts).get("shortcut") if module.shortcut is not None else None
        layers = [picture for part, picture in parts if part != "shortcut"]
        picture, line = _residual(layers, branch, f"{module.output_shape(shape)}"), "plain"
    elif isinstance(module, Sequential) and own.forward is Sequential.forward and own.children is Sequential.children:
        picture, line = _stack([picture for _, picture in parts]), "arrow"
        if not path:
            return picture
    else:
        picture, line = _stack([picture for _, picture in parts], arrows=False), "none"
    about = f"{path}: {described(module)}" if path else described(module)
    size = _parameters(module, shape)
    return _frame(name, type(module).__name__, f"{about}{', ' + size if size else ''}", size, picture, line)


def _box(path: str, name: str, layer: Module, shape: Shape, width: float) -> _Picture:
    """One layer: name and output shape, then settings and parameters."""
    output, size, said = str(layer.output_shape(shape)), _parameters(layer, shape), repr(layer)
    room = width - 2 * PAD
    output = _fitting(output, room * 0.6)
    lines = _wrapped(said, room)
    body = [_text(PAD, PAD + LINE * (n + 2) - 6, line, "less") for n, line in enumerate(lines)]
    rows = 1 + len(lines)
    if size:
        size = _fitting(size, room)
        if _wide(lines[-1]) + 2 * PAD + _wide(size) > room:
            rows += 1
        body.append(_text(width - PAD, PAD + LINE * rows - 6, size, "less", "end"))
    height = rows * LINE + 2 * PAD - 4
    titled = f"{path or name}: {said}, output {layer.output_shape(shape)}{', ' + size if size else ''}"
    kind = "box has-parameters" if size else "box"
    svg = [
        f"<g><title>{escape(titled)}</title>",
        f'<rect class="{kind}" width="{width:.1f}" height="{height:.1f}" rx="5"/>',
        _text(PAD, PAD + LINE - 6, _fitting(name, room - _wide(output) - PAD, bold=True, tail=3), "name"),
        _text(width - PAD, PAD + LINE - 6, output, "", "end"),
        *body,
        "</g>",
    ]
    return _Picture(width, height, width / 2, "\n".join(svg))


def _label(text: str) -> _Picture:
    """A rounded box with one line of text: what goes in, what comes out."""
    width, height = _wide(text) + 4 * PAD, LINE + PAD
    rect = f'<rect class="box" width="{width:.1f}" height="{height:.1f}" rx="{height / 2:.1f}"/>'
    return _Picture(width, height, width / 2, rect + _text(width / 2, height / 2 + 4, text, "", "middle"))


def _stack(pictures: list[_Picture], *, arrows: bool = True) -> _Picture:
    """Put pictures one below the other on one axis, with arrows between them."""
    axis = max(picture.axis for picture in pictures)
    width = axis + max(picture.width - picture.axis for picture in pictures)
    svg, y = [], 0.0
    for number, picture in enumerate(pictures):
        if number:
            svg += [_line(axis, y, axis, y + GAP, arrow=True)] if arrows else []
            y += GAP if arrows else GAP / 2
        svg.append(_at(axis - picture.axis, y, picture.svg))
        y += picture.height
    return _Picture(width, y, axis, "\n".join(svg))


def _residual(layers: list[_Picture], branch: _Picture | None, output: str) -> _Picture:
    """The layers with the shortcut beside them, from where the data parts to where both are added."""
    main = _stack(layers) if layers else _Picture(2 * PAD, 0, PAD, "")
    side = branch or _side()
    split, top = 4.0, 4.0 + GAP
    # the text beside the sign needs room left of the axis
    shift = max(0.0, _wide(output) + RADIUS + PAD - main.axis)
    axis = shift + main.axis
    left = shift + main.width + COLUMN
    beside = left + side.axis
    tall = max(main.height, side.height)
    sign = top + tall + GAP + RADIUS
    svg = [
        _line(axis, 0, axis, top, arrow=bool(layers)),
        f'<circle cx="{axis:.1f}" cy="{split:.1f}" r="2.5" fill="#334155"/>',
        _path(f"M {axis:.1f} {split:.1f} H {beside:.1f} V {top:.1f}", arrow=branch is not None),
        _at(shift, top, main.svg),
        _at(left, top, side.svg),
        _line(axis, top + main.height, axis, sign - RADIUS, arrow=True),
        _path(f"M {beside:.1f} {top + side.height:.1f} V {sign:.1f} H {axis + RADIUS:.1f}", arrow=True),
        f'<circle class="sign" cx="{axis:.1f}" cy="{sign:.1f}" r="{RADIUS:g}"/>',
        _path(f"M {axis - 5:.1f} {sign:.1f} h 10 M {axis:.1f} {sign - 5:.1f} v 10"),
        _text(axis - RADIUS - PAD, sign + 4, output, "", "end"),
    ]
    end = sign + RADIUS + PAD
    svg.append(_line(axis, sign + RADIUS, axis, end))
    return _Picture(left + side.width, end, axis, "\n".join(svg))


def _side() -> _Picture:
    """A shortcut without layers."""
    svg = _line(4, 0, 4, 2 * LINE) + _text(PAD + 4, LINE + 4, "identity", "less")
    return _Picture(PAD + 4 + _wide("identity"), 2 * LINE, 4, svg)


def _frame(name: str, kind: str, about: str, size: str, picture: _Picture, line: str) -> _Picture:
    """A dashed frame with a name, around what a module has inside; line: how data comes in there."""
    head = LINE + PAD
    width = picture.width + 2 * PAD
    axis = PAD + picture.axis
    height = head + picture.height + PAD
    room = axis - 2 * PAD  # the line to what is inside passes at the axis
    both = f"{name} · {kind}" if name else kind
    shown = both if _wide(both, bold=True) <= room else _fitting(name or kind, room, bold=True, tail=3)
    lines = [_line(axis, 0, axis, head, arrow=line == "arrow"), _line(axis, height - PAD, axis, height)]
    svg = [
        f"<g><title>{escape(about)}</title>",
        f'<rect class="frame" width="{width:.1f}" height="{height:.1f}" rx="8"/>',
        _text(PAD, LINE, shown, "name"),
        _text(width - PAD, LINE, size, "less", "end") if _wide(size) <= width - axis - 2 * PAD else "",
        *(lines if line != "none" else []),
        _at(PAD, head, picture.svg),
        "</g>",
    ]
    return _Picture(width, height, axis, "\n".join(svg))


def _parameters(module: Module, shape: Shape) -> str:
    count = sum(parameter.size for _, parameter in leaves(module.parameters(shape)))
    return f"{count:,} parameter{'s' if count > 1 else ''}" if count else ""


def _at(x: float, y: float, svg: str) -> str:
    return f'<g transform="translate({x:.1f} {y:.1f})">\n{svg}\n</g>'


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    known = f' class="{kind}"' if kind else ""
    side = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text x="{x:.1f}" y="{y:.1f}"{known}{side}>{escape(text)}</text>' if text else ""


def _line(x: float, y: float, x_end: float, y_end: float, *, arrow: bool = False) -> str:
    return _path(f"M {x:.1f} {y:.1f} L {x_end:.1f} {y_end:.1f}", arrow=arrow)


def _path(d: str, *, arrow: bool = False) -> str:
    return f'<path class="line" d="{d}"{" marker-end=" + chr(34) + "url(#arrow)" + chr(34) if arrow else ""}/>'


def _wide(text: str, *, bold: bool = False) -> float:
    """Width of text in pixels, at least: that of a wide font, for which one is there is not known."""
    return TEXT * sum(_em(letter) for letter in text) * (1.1 if bold else 1.0)


def _em(letter: str) -> float:
    if not letter.isascii():
        return 1.02
    if letter in "mwMW@%&":
        return 1.0
    if letter in " .,:;'|!()[]ijlIft-":
        return 0.46
    return 0.8 if letter.isupper() or letter in "=+<>~#^" else 0.67


def _fitting(text: str, room: float, *, bold: bool = False, tail: int = 0) -> str:
    """The text, cut before its last letters, `tail` of them, where there is no room for it."""
    if _wide(text, bold=bold) <= room:
        return text
    head, end = text[: len(text) - tail], "…" + text[len(text) - tail :]
    while head and _wide(head + end, bold=bold) > room:
        head = head[:-1]
    return head + end


def _wrapped(text: str, room: float) -> list[str]:
    """The text in lines that have room, broken at spaces; a word that is too long is cut."""
    lines: list[str] = []
    for word in text.split(" "):
        if lines and _wide(f"{lines[-1]} {word}") <= room:
            lines[-1] += f" {word}"
        else:
            lines.append(_fitting(word, room))
    return lines

"""Drawings are read as XML, and their texts are measured in a font that the drawing does not know of."""

import re
from xml.etree import ElementTree

import pytest
from PIL import ImageFont

import treadle as td
from treadle.nn import MODELS, Conv2d, Flatten, Linear, Module, Parameter, ReLU, Residual, Sequential, Softmax, Tanh

SVG = "{http://www.w3.org/2000/svg}"


class Gated(Module):
    """A user's module that computes with its parts in a way of its own."""

    def __init__(self, gate, value):
        self.gate, self.value = gate, value

    def children(self, shape):
        yield "gate", self.gate, shape
        yield "value", self.value, shape

    def parameters(self, shape):
        return {"gate": self.gate.parameters(shape), "value": self.value.parameters(shape), "scale": Parameter(shape)}

    def forward(self, params, x, mode):
        raise NotImplementedError


class Reversed(Sequential):
    """A user's container that goes through its layers in another order."""

    def forward(self, params, x, mode):
        raise NotImplementedError


class Plain(Module):
    def forward(self, params, x, mode):
        raise NotImplementedError


LONG = type(f"{'W' * 60}卷积神经网络", (Plain,), {})


def nested(depth):
    return Residual(Linear(4), shortcut=nested(depth - 1)) if depth else Linear(4)


NETWORKS = {
    **{name: (make(1 if name == "baseline" else 10), (1, 28, 28)) for name, make in MODELS.items()},
    "users": (Sequential(Gated(Linear(4), Sequential(Linear(4), Tanh())), Reversed(Linear(4), Linear(4))), (4,)),
    "long": (Sequential(LONG(), Linear(10**15)), (4,)),
    "nested": (nested(9), (4,)),
    "layer": (Linear(2), (3,)),
    "many axes": (Sequential(ReLU(), Flatten()), (11,) * 40),
    "empty residual": (Sequential(Residual(), Residual(shortcut=[Tanh()])), (4,)),
}


def shapes(svg):
    """Yield (element, x, y) with places in the drawing."""

    def walk(element, x, y):
        for child in element:
            moved = re.fullmatch(r"translate\(([\d.]+) ([\d.]+)\)", child.get("transform", ""))
            dx, dy = map(float, moved.groups()) if moved else (0, 0)
            yield child, x + dx, y + dy
            yield from walk(child, x + dx, y + dy)

    yield from walk(svg, 0, 0)


def extent(text, x):
    """Left and right end of a text."""
    wide = ImageFont.load_default(12).getlength(text.text) * (1.05 if text.get("class") == "name" else 1)
    left = float(text.get("x")) - wide * {"start": 0, "middle": 0.5, "end": 1}[text.get("text-anchor", "start")]
    return x + left, x + left + wide


@pytest.mark.parametrize("name", NETWORKS)
def test_a_drawing_is_valid_and_its_texts_stay_in_their_boxes(name):
    svg = ElementTree.fromstring(td.draw(*NETWORKS[name]))
    assert svg.tag == f"{SVG}svg"
    assert float(svg.get("width")) <= 900
    assert svg.get("role") == "img"
    assert svg.find(f"{SVG}title").get("id") == svg.get("aria-labelledby")
    _, _, columns, rows = map(float, svg.get("viewBox").split())
    boxes, texts = [], []
    for element, x, y in shapes(svg):
        if element.tag == f"{SVG}rect":
            boxes.append((x, y, float(element.get("width")), float(element.get("height"))))
        if element.tag == f"{SVG}text":
            texts.append((*extent(element, x), y + float(element.get("y"))))
    for x, y, width, height in boxes:
        assert x >= 0 <= y
        assert x + width <= columns
        assert y + height <= rows
    for left, right, baseline in texts:
        assert left >= 0
        assert right <= columns
        for x, y, width, height in boxes:
            if y < baseline < y + height and x < (left + right) / 2 < x + width:
                assert x < left
                assert right < x + width


@pytest.mark.parametrize("name", ["mlp", "lenet", "resnet_small", "mlp_tabular", "users"])
def test_every_layer_has_a_box_with_its_settings_shape_and_parameters(name):
    network, shape = NETWORKS[name]
    svg = ElementTree.fromstring(td.draw(network, shape))
    titles = [title.text for title in svg.iter(f"{SVG}title")]
    texts = [text.text for text in svg.iter(f"{SVG}text")]
    for row in td.summary(network, shape).rows:
        if not list(row.layer.children(row.input_shape)):
            (title,) = [title for title in titles if title.startswith(f"{row.name}: ")]
            assert repr(row.layer) in title
            assert str(row.output_shape) in title
            if row.parameters:
                assert title.endswith(f", {row.parameters:,} parameters")
                assert f"{row.parameters:,} parameters" in texts
            assert row.name.rpartition(".")[2] in texts
            assert str(row.output_shape) in texts


def drawn(network, shape):
    svg = ElementTree.fromstring(td.draw(network, shape))
    kinds = [element.get("class") for element in svg.iter()]
    arrows = sum(element.get("marker-end") is not None for element in svg.iter(f"{SVG}path"))
    return [text.text for text in svg.iter(f"{SVG}text")], kinds, arrows


def test_a_residual_block_has_a_branch_and_a_sign():
    texts, kinds, arrows = drawn(Residual(Linear(4), Tanh()), (4,))
    assert kinds.count("sign") == kinds.count("frame") == 1
    assert "identity" in texts
    # into the frame and out of it; to the first layer, the second, the sign; and the shortcut to the sign
    assert arrows == 6
    texts, kinds, arrows = drawn(Residual(Linear(4), Tanh(), shortcut=Linear(4)), (4,))
    assert "identity" not in texts
    assert texts.count("Linear(4)") == 2
    assert arrows == 7
    assert drawn(MODELS["resnet_small"](10), (1, 28, 28))[1].count("sign") == 6


def test_no_arrows_between_parts_whose_order_is_not_known():
    texts, kinds, arrows = drawn(Gated(Linear(4), Softmax()), (4,))
    assert {"gate", "value", "Gated"} <= set(texts)
    assert kinds.count("frame") == 1
    assert arrows == 2  # in and out
    assert drawn(Reversed(Linear(4), Linear(4)), (4,))[2] == 2
    assert drawn(Sequential(Linear(4), Linear(4)), (4,))[2] == 3


def test_repeats_are_all_drawn():
    texts, _, arrows = drawn(Sequential(*(Conv2d(2, 1) for _ in range(30))), (2, 3, 3))
    assert [text for text in texts if text.startswith("conv2d")] == [f"conv2d{n + 1}" for n in range(30)]
    assert arrows == 31


def test_names_cannot_leave_the_text():
    class Odd(Plain):
        def __repr__(self):
            return '<Odd & "quoted">'

    texts, _, _ = drawn(Sequential(Odd()), (4,))
    assert '<Odd & "quoted">' in texts

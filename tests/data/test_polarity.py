import numpy as np
import pytest

from treadle.data import Polarity, load, polarity_of
from treadle.data.polarity import border, polarities
from treadle.data.stored import Stored


def ring(size, value, inside):
    """An image of one value with a border of another."""
    image = np.full((1, size, size), inside, np.uint8)
    image[:, [0, -1]] = image[:, :, [0, -1]] = value
    return image


def test_border_is_every_pixel_of_the_edge_once():
    image = np.arange(20).reshape(4, 5)
    assert sorted(border(image)) == [0, 1, 2, 3, 4, 5, 9, 10, 14, 15, 16, 17, 18, 19]
    assert border(np.arange(3).reshape(1, 3)).tolist() == [0, 1, 2]
    assert border(np.arange(3).reshape(3, 1)).tolist() == [0, 1, 2]
    assert border(np.zeros((2, 3, 4, 5))).shape == (2, 3, 14)


@pytest.mark.parametrize(
    ("outside", "inside", "expected"),
    [(0, 255, "light on dark"), (255, 0, "dark on light"), (100, 160, "light on dark"), (9, 9, None), (100, 120, None)],
)
def test_polarity_of_one_image(outside, inside, expected):
    assert polarities(ring(6, outside, inside)[None], 255) == [expected]


def test_a_border_of_both_kinds_tells_nothing():
    image = ring(6, 0, 255)
    image[:, :, 0] = 255  # 6 of 20 pixels
    assert polarities(image[None], 255) == [None]
    image[:, 2:, 0] = 0  # 2 of 20
    assert polarities(image[None], 255) == ["light on dark"]


def test_colour_counts_by_the_mean_of_its_channels():
    image = np.concatenate([ring(6, 200, 0), ring(6, 220, 30), ring(6, 90, 120)])
    assert polarities(image[None], 255) == ["dark on light"]


def test_inverting_exchanges_the_polarities():
    images = np.random.default_rng(0).integers(0, 256, (200, 1, 5, 5)).astype(np.uint8)
    images[:100, :, [0, -1]] //= 4
    images[:100, :, :, [0, -1]] //= 4
    other = {"light on dark": "dark on light", "dark on light": "light on dark", None: None}
    found = polarities(images, 255)
    assert len(set(found)) > 1
    # a pixel exactly in the middle is below it for neither, which 255 − x turns round: such images may differ
    differ = [one for one, two in zip(found, polarities(255 - images, 255), strict=True) if other[one] != two]
    assert len(differ) < 5


def test_training_images_need_one_polarity():
    dark, light = ring(6, 0, 255), ring(6, 255, 0)
    for count, kind in [(19, "light on dark"), (18, None)]:
        found = polarity_of(np.stack([dark] * count + [light] * (20 - count)))
        assert found == Polarity(count / 20, (20 - count) / 20)
        assert found.kind == kind
    assert polarity_of(np.stack([light] * 3)).kind == "dark on light"


def test_units_make_no_difference():
    images = np.stack([ring(6, 0, 255), ring(6, 255, 0), ring(6, 7, 9)])
    assert polarity_of(images / 255.0) == polarity_of(images) == Polarity(1 / 3, 1 / 3)
    assert polarity_of(images / np.float32(100) - 5) == polarity_of(images)


def test_of_many_images_some_are_taken_evenly():
    taken = set()

    class Counted(Stored):
        shape, dtype = (5_000, 1, 6, 6), np.dtype(np.uint8)

        def read(self, indices):
            taken.update(indices.tolist())
            return np.stack([ring(6, 0, 255) if number < 2_500 else ring(6, 255, 0) for number in indices])

    stored = Counted()
    assert stored.survey.high.max() == 255  # which training asks for in any case
    taken.clear()
    assert polarity_of(stored) == Polarity(0.5, 0.5)
    assert len(taken) == 1_000
    assert {0, 4_999} <= taken


def test_rows_and_nothing_have_none():
    assert polarity_of(np.zeros((5, 4))) is None
    assert polarity_of(np.zeros((0, 1, 4, 4))) is None


def test_mnist_is_light_on_dark():
    assert polarity_of(load("mnist").train.inputs) == Polarity(1.0, 0.0)

"""attnfuzz.read_error: an error text with its numbers named."""

import attnfuzz
import pytest

TEXT = "RuntimeError: The size of tensor a (8) must match the size of tensor b (2) at non-singleton dimension 0"


def axes(reading):
    return [number.axis for number in reading.numbers]


def test_shapes_decide_what_the_text_leaves_open():
    told = attnfuzz.read_error(TEXT, {"q": (2, 4, 8, 16)})
    assert axes(told) == ["q_len", "batch"] and [number.value for number in told.numbers] == [8, 2]
    assert "tensor a (q_len=8)" in told.named and "lacks an axis" in told.mistake
    bare = attnfuzz.read_error(TEXT)
    assert bare.sureness != "sure" and bare.questions
    assert str(bare).startswith("reading    8")


def test_other_words_are_not_read():
    reading = attnfuzz.read_error("KeyError: 'model.embed'")
    assert reading.sureness == "not read" and reading.numbers == () and reading.mistake == ""


@pytest.mark.parametrize("arguments,words", [
    ({"shapes": {"nothing": (2, 3)}}, "shapes nothing=2x3: expected one of q, k, v"),
    ({"shapes": {"q": (2, -3)}}, "shapes q=2x-3"),
    ({"layout": "hbsd"}, "layout 'hbsd': expected one of bhsd"),
])
def test_wrong_arguments_are_named(arguments, words):
    with pytest.raises(attnfuzz.InputError) as raised:
        attnfuzz.read_error(TEXT, **arguments)
    assert words in str(raised.value) and "--shapes" not in str(raised.value)

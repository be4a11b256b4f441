"""What names messages and tells them apart: what other tests rest on."""

import pytest
from messages import saying, says

from tools import message_page
from tools.message_page import as_page, bare, found, named

WORDS = "Frame 7 was not done within 5 s (frame_timeout)."


def test_a_message_keeps_its_name_when_its_words_change() -> None:
    before = [("no-camera", "The scene '{name}' has no camera."), ("gone", "The file is gone.")]
    texts = [
        "There is no camera in the scene '{scene}'.",
        "The file is gone.",
        "It is late, isn't it?",
    ]
    assert named(texts, before) == {
        "There is no camera in the scene '{}'.": "no-camera",
        "The file is gone.": "gone",
        "It is late, isn't it?": "late-isnt",
    }


def test_no_two_messages_have_one_name() -> None:
    texts = [
        "There is no job '{job}'.",
        "There is no job.",
        "No job!",
        "There is no job '{other}'.",
    ]
    assert len(set(named(texts, []).values())) == 3


def test_a_name_that_the_page_gives_twice_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_page, "rows", lambda: [("one", each) for each in texts()[:2]])
    with pytest.raises(ValueError, match="one"):
        as_page()


def test_each_text_stands_on_the_page_once() -> None:
    told = [bare(each) for each in texts()]
    assert len(told) == len(set(told))


def texts() -> list[str]:
    """Return the texts of the page, of all its parts."""
    return [each for codes in found().values() for of_one in codes.values() for each in of_one]


def test_a_message_is_found_in_a_text_with_what_it_is_filled_in_with() -> None:
    text = f"error: Failed: frame 7. {WORDS}\nbye"
    assert says(text, "frame-not-done-in-time", "Frame 7 was not done", 5)
    assert says(text, "frame-not-done-in-time")
    assert not says(text, "frame-not-done-in-time", 6)
    assert not says("Frame 7 was not done within 5", "frame-not-done-in-time")
    assert says(text, "frame-not-done-in-time", saying("frame-was-not-done", 7), 5)
    assert not says(text, "frame-not-done-in-time", saying("frame-was-not-done", 5), 7)
    assert not says(text.replace(" 5 ", " 55 "), "frame-not-done-in-time", 5)


def test_a_full_stop_in_what_is_filled_in_does_not_end_a_message() -> None:
    assert says("The x must be text, not 3.4.", "field-must-be-text", "3.4")


def test_what_the_message_has_beside_a_number_is_none_of_it() -> None:
    text = "a.png has 16x12 pixels instead of 132x124."
    assert says(text, "image-has-wrong-size", 16, 12, 132, 124)
    assert not says(text, "image-has-wrong-size", 32)
    assert not says(text, "image-has-wrong-size", 24)


def test_a_message_is_told_also_where_lines_were_broken() -> None:
    assert says(WORDS.replace("done within", "done\n   within"), "frame-not-done-in-time", 5)


def test_a_text_that_is_one_message_is_equal_to_it() -> None:
    message = saying("frame-not-done-in-time", 5)
    assert {"errors": [message]} == {"errors": [WORDS]}
    assert message != f"{WORDS} Or not."


def test_an_error_is_asked_as_a_text() -> None:
    with pytest.raises(ValueError, check=saying("frame-not-done-in-time", 5)):
        raise ValueError(WORDS)


def test_a_name_that_is_on_no_page_is_a_mistake() -> None:
    with pytest.raises(LookupError):
        says(WORDS, "never-heard-of")

"""The mail of one placement that came and is not taken."""

from mvm_ci.domain.mail import Mail
from mvm_ci.lifecycle.letter_box import LetterBox

A, B, C = Mail(1, "message:a"), Mail(2, "message:b"), Mail(3, "message:a")


def test_mail_is_found_by_topic_in_the_order_of_its_arrival() -> None:
    box = LetterBox()
    box.add([A, B, C])
    assert box.find(["message:b", "message:a"]) is A
    assert box.find(["message:b"]) is B
    assert box.find(["message:c"]) is None
    assert box.find([]) is None


def test_what_is_taken_is_not_found_again_even_if_it_comes_again() -> None:
    box = LetterBox()
    box.add([A])
    box.took(A)
    box.add([A, C])
    assert box.find(["message:a"]) is C


def test_what_comes_twice_is_there_once() -> None:
    box = LetterBox()
    box.add([A, B])
    box.add([A, B, C])
    found = []
    while (mail := box.find(["message:a", "message:b"])) is not None:
        box.took(mail)
        found.append(mail)
    assert found == [A, B, C]

"""Texts and their codes: bounded, and read by one thread while another learns."""

from __future__ import annotations

from typing import Any

from detectors.kit.texts import Texts


def test_a_text_is_known_until_it_was_not_used_for_two_generations() -> None:
    texts = Texts(max_texts=2)
    first = texts.code("first")
    texts.code("second")

    texts.code("third")
    assert (texts.text(first), texts.generation, len(texts)) == ("first", 1, 3)
    texts.code("fourth")
    texts.code("fifth")
    assert (texts.text(first), texts.generation) == (None, 2)


class Interrupted(dict[int, str]):
    """Young texts during whose reading the other thread begins a new generation."""

    texts: Texts

    def get(self, key: int, default: Any = None) -> Any:
        self.texts._rotate()
        return super().get(key, default)


def test_a_young_text_is_found_while_another_thread_begins_a_generation() -> None:
    texts = Texts()
    value = texts.code("young")
    texts._young = Interrupted(texts._young)
    texts._young.texts = texts

    assert texts.text(value) == "young"
    assert texts.generation == 1
    assert texts.select([value, 1]) == {value: "young"}


class Between(Texts):
    """Texts where a reader comes in at every step of beginning a generation."""

    wanted = 0

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if self.wanted:
            assert self.text(self.wanted) == "young", f"after {name} was set"


def test_a_young_text_is_found_at_every_step_of_beginning_a_generation() -> None:
    texts = Between()
    texts.wanted = texts.code("young")

    texts._rotate()

    assert texts.generation == 1

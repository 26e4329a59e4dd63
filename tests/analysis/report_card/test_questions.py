"""Questions against the semantics of Picturebook."""

from collections import Counter

import pytest

from analysis.report_card.questions import KINDS_HEARD, Question, make_questions
from itr_core.picturebook.scene import Scene
from itr_core.picturebook.splits import scene_of


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [scene_of("test", index) for index in range(200)]


@pytest.fixture(scope="module")
def questions(scenes: list[Scene]) -> list[Question]:
    return make_questions(scenes, 12)


def test_every_kind_has_questions_and_no_scene_occurs_twice_in_a_kind(questions: list[Question]) -> None:
    for kind in KINDS_HEARD:
        own = [question for question in questions if question.kind == kind]
        assert len(own) == 12
        scenes = Counter(row for question in own for row in question.scenes)
        assert set(scenes.values()) == {1}


def test_questions_depend_on_the_seed_only(scenes: list[Scene], questions: list[Question]) -> None:
    assert make_questions(scenes, 12) == questions
    assert make_questions(scenes, 12, seed=1) != questions


def test_fewer_questions_start_as_more_do(scenes: list[Scene], questions: list[Question]) -> None:
    fewer = make_questions(scenes, 3)
    for kind in KINDS_HEARD:
        first = [each for each in questions if each.kind == kind][:3]
        assert [each for each in fewer if each.kind == kind] == first


def test_order_has_the_same_words_and_other_kinds_do_not(questions: list[Question]) -> None:
    for question in questions:
        first, second = (sorted(text.split()) for text in question.texts)
        assert question.texts[0] != question.texts[1]
        assert (first == second) == (question.kind == "order")


def test_negation_changes_one_word(questions: list[Question]) -> None:
    for question in questions:
        if question.kind == "negation":
            first, second = (text.split(maxsplit=1) for text in question.texts)
            assert first[0] in ("a", "an", "some")
            assert second == ["no", first[1]]


def test_numbers_take_the_plural(questions: list[Question]) -> None:
    for question in questions:
        if question.kind == "counting":
            first, second = (text.split(maxsplit=1) for text in question.texts)
            assert {first[0], second[0]} < {"two", "three", "four"}
            assert first[1] == second[1]


def test_objects_of_a_question_are_there_in_one_scene_only(
    scenes: list[Scene], questions: list[Question]
) -> None:
    for question in questions:
        if question.kind == "negation":
            kind = question.texts[0].split(" ", 1)[1]
            with_it, without = (scenes[row] for row in question.scenes)
            assert any(kind.startswith(thing.kind) for thing in with_it.things)
            assert not any(kind.startswith(f"{thing.kind} ") for thing in without.things)

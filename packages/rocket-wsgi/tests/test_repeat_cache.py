from __future__ import annotations

from rocket_wsgi._repeat_cache import MEMORY, RepeatCache


def test_a_result_is_remembered_when_its_argument_comes_again() -> None:
    memory: RepeatCache[str, int] = RepeatCache()
    assert not memory.offer("a", 1)
    assert memory.get("a") is None
    assert memory.offer("a", 1)
    assert memory.get("a") == 1


def test_arguments_that_never_repeat_are_not_kept() -> None:
    memory: RepeatCache[int, int] = RepeatCache()
    for number in range(10_000):
        memory.offer(number, number)
    assert not memory
    assert len(memory._seen) <= 1024


def test_the_number_of_results_is_bounded() -> None:
    memory: RepeatCache[int, int] = RepeatCache()
    for number in range(3 * MEMORY):
        memory.offer(number, number)
        memory.offer(number, number)
        assert len(memory) <= MEMORY
        assert memory[number] == number

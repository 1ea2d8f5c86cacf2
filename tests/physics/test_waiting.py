"""Jobs that wait: urgency, order, and taking them back."""

import random

from physics.queue.job import Job
from physics.queue.waiting import Waiting


def job(name, urgency=0.0):
    return Job("kind", {"name": name}, name, urgency=urgency)


def names(waiting):
    return [[one.label for one in waiting.pop()] for _ in range(len(waiting))]


def test_the_most_urgent_first_and_equals_in_order():
    waiting = Waiting()
    waiting.add([job("a", 1.0), job("b", 5.0), job("c", 1.0)])
    waiting.add([job("d", 5.0), job("e", 9.0)])
    assert names(waiting) == [["e"], ["b"], ["d"], ["a"], ["c"]]


def test_a_batch_is_as_urgent_as_its_most_urgent_job():
    waiting = Waiting()
    waiting.add([job("a", 2.0), job("b", 2.0)], together=2)
    waiting.add([job("c", 1.0), job("d", 3.0), job("e", 0.0)], together=2)
    assert names(waiting) == [["c", "d"], ["a", "b"], ["e"]]


def test_a_job_that_waits_can_become_more_urgent_but_not_less():
    waiting = Waiting()
    waiting.add([job("a", 2.0), job("b", 3.0)])
    waiting.hurry([job("a", 4.0), job("b", 1.0), job("unknown", 9.0)])
    assert names(waiting) == [["a"], ["b"]]


def test_all_or_nothing_is_taken_back():
    waiting = Waiting()
    jobs = [job(name) for name in "abcd"]
    waiting.add(jobs, together=2)
    keys = [one.key for one in jobs]
    assert not waiting.withdraw({keys[0], "elsewhere"})
    assert waiting.withdraw({keys[0], keys[2], keys[3]})
    assert not waiting.withdraw({keys[0]})
    assert names(waiting) == [["b"]]


def test_beside_a_sorted_list():
    rng, waiting, expected = random.Random(0), Waiting(), []
    for number in range(200):
        urgency = float(rng.randrange(5))
        waiting.add([job(str(number), urgency)])
        expected.append((-urgency, number))
        if rng.random() < 0.4:
            expected.sort()
            assert waiting.pop()[0].label == str(expected.pop(0)[1])

import signal
import threading
import time

import pytest

from autoencoders.runtime import threads
from autoencoders.runtime.threads import MAX_WAITING, available_cores, map_in_order


@pytest.fixture(params=[1, 2, 7])
def cores(request, monkeypatch) -> int:
    monkeypatch.setattr(threads, "available_cores", lambda: request.param)
    return request.param


def test_results_are_in_order_whoever_is_first(cores):
    def slow_if_even(number: int) -> int:
        time.sleep(0.01 * (number % 2 == 0))
        return number**2

    assert list(map_in_order(slow_if_even, range(40))) == [number**2 for number in range(40)]
    assert list(map_in_order(slow_if_even, [])) == []


def test_few_items_are_in_memory_at_a_time(cores):
    begun = []
    results = map_in_order(begun.append, iter(range(1000)))
    for done in range(1, 100):
        next(results)
        assert len(begun) <= done + MAX_WAITING * cores
    results.close()


def test_an_error_is_raised_in_its_turn_and_ends_the_work(cores):
    begun = []

    def fail_at_five(number: int) -> int:
        begun.append(number)
        if number == 5:
            raise ValueError("five")
        return number

    seen = []
    with pytest.raises(ValueError, match="five"):
        for number in map_in_order(fail_at_five, range(1000)):
            seen.append(number)
    assert seen == [0, 1, 2, 3, 4]
    assert len(begun) <= 6 + MAX_WAITING * cores


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_work_at_once_and_leaves_no_thread(cores, number):
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before, begun = threading.active_count(), []

    def work(item: int) -> None:
        begun.append(item)
        if item == 3:
            signal.pthread_kill(threading.main_thread().ident, number)
        time.sleep(0.05)

    former = signal.signal(number, stop)
    began = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            list(map_in_order(work, range(10_000)))
    finally:
        signal.signal(number, former)
    while threading.active_count() > before:  # one may have been about to start
        assert time.monotonic() - began < 5
        time.sleep(0.01)
    assert len(begun) <= 4 + MAX_WAITING * cores


@pytest.mark.parametrize(("limit", "expected"), [("max 100000", 8), ("250000 100000", 3), ("50000 100000", 1)])
def test_the_cores_are_those_of_the_container(monkeypatch, tmp_path, limit, expected):
    (tmp_path / "cpu.max").write_text(f"{limit}\n")
    monkeypatch.setattr(threads, "QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    assert available_cores() == expected


def test_without_a_container_the_cores_are_those_that_the_process_is_bound_to(monkeypatch, tmp_path):
    monkeypatch.setattr(threads, "QUOTA", tmp_path / "none")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {1, 5})
    assert available_cores() == 2

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from streams.cli.batches import batched


def test_batches_keep_the_order_and_the_size() -> None:
    found = list(batched(range(10), 4, wait_ms=1000.0))
    assert found == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_nothing_comes_of_nothing() -> None:
    assert list(batched([], 4, wait_ms=1.0)) == []


def test_what_is_there_does_not_wait_for_what_is_not() -> None:
    seen = threading.Event()

    def slowly() -> Iterator[int]:
        yield 1
        assert seen.wait(60)
        yield 2

    batches = batched(slowly(), 64, wait_ms=1.0)
    assert next(batches) == [1]
    seen.set()
    assert list(batches) == [[2]]


def test_an_exception_comes_after_what_came_before_it() -> None:
    def breaking() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    batches = batched(breaking(), 64, wait_ms=1000.0)
    assert next(batches) == [1]
    with pytest.raises(ValueError, match="broken"):
        next(batches)

"""Silence: how long a partition that had something to say said nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """A scene of a partition: when it was sent and when its outcome was seen, in seconds of one clock."""

    partition: int
    sent_at: float
    seen_at: float


def longest_silences(answers: Iterable[Answer], since: float) -> Mapping[int, float]:
    """Return for each partition the longest time after `since` without an outcome while a scene waited, in s.

    It begins with the last outcome before it, or with the first scene that was sent in it where none was waiting.
    """
    partitions: dict[int, list[Answer]] = defaultdict(list)
    for answer in answers:
        partitions[answer.partition].append(answer)
    return {partition: _longest(ones, since) for partition, ones in sorted(partitions.items())}


def _longest(answers: list[Answer], since: float) -> float:
    answers.sort(key=lambda one: one.seen_at)
    longest = 0.0
    oldest_sent = float("inf")
    # From the last to the first, so that the oldest scene that is still open at any outcome is known.
    for place in range(len(answers) - 1, -1, -1):
        answer = answers[place]
        oldest_sent = min(oldest_sent, answer.sent_at)
        if answer.seen_at < since:
            break
        before = answers[place - 1].seen_at if place else oldest_sent
        longest = max(longest, answer.seen_at - max(before, oldest_sent, since))
    return longest

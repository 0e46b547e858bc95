"""Dead topics are read once, or twice where they are large: the open letters are the same, and room is bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.kafka.graveyard import Choice, Waiting
from streams.ops.reading.seen import Record

TOPIC = "scenes.dead"
LETTER_BYTES = 2500
# A letter of a size and reason, or the mark of one that lies before it, on one of two partitions.
things = st.lists(
    st.tuples(st.integers(0, 1), st.booleans(), st.integers(0, 400), st.sampled_from(["late", "wrong"])), max_size=60
)


def records(path: list[tuple[int, bool, int, str]]) -> list[Record]:
    made: list[Record] = []
    offsets = [0, 0]
    for partition, is_mark, number, reason in path:
        before = [one for one in made if one.partition == partition and one.value is not None]
        offset, offsets[partition] = offsets[partition], offsets[partition] + 1
        if is_mark and before:
            which = before[number % len(before)].offset
            mark = (("__dlq.redriven.offset", str(which).encode()),)
            made.append(Record(TOPIC, partition, offset, 1.0, b"k", None, mark))
        else:
            said = (("__dlq.errors.exception", reason.encode()),)
            made.append(Record(TOPIC, partition, offset, 1.0, b"k", b"x" * number, said))
    return made


@given(things, st.sampled_from([0, LETTER_BYTES, 5 * LETTER_BYTES, 10**9]), st.sampled_from([None, "late"]))
def test_the_open_letters_are_those_without_a_mark_however_little_room_there_is(
    path: list[tuple[int, bool, int, str]], room: int, reason: str | None
) -> None:
    lying = records(path)
    sent_back = {(one.partition, int(one.headers[0][1])) for one in lying if one.value is None}
    expected = [
        (one.partition, one.offset)
        for one in lying
        if one.value is not None
        and (one.partition, one.offset) not in sent_back
        and reason in {None, one.headers[0][1].decode()}
    ]
    waiting = Waiting(Choice((TOPIC,), reason=reason), room)
    for one in lying:
        waiting.take(one.received)
        assert len(waiting.letters) * 2000 <= room
    found = [(place.partition, offset) for place, offset in waiting.letters]
    if waiting.full:
        read = {place.partition: end for place, end in waiting.read.items()}
        again = [waiting.beyond(one.received) for one in lying if one.offset >= read.get(one.partition, 0)]
        found += [(letter.place.partition, letter.offset) for letter in again if letter is not None]
    for partition in (0, 1):
        assert [one for one in found if one[0] == partition] == [one for one in expected if one[0] == partition]
    if room == 10**9:
        assert not waiting.full

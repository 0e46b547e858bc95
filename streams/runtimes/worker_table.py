"""The store of Faust's table `sensitivity`: where the worker's rows are; Faust reads it, stages alone change it.

Faust finds it by the scheme of the table's `store`, through the entry point `faust.stores` in pyproject.toml.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn, cast

import faust
from faust.stores.base import SerializedStore

from streams.runtimes.worker_rows import TableRows

# Faust takes a URL of a scheme alone for none.
_STORE = "sensitivity-rows://memory"
_CHANGED_ELSEWHERE = (
    "rows of sensitivity change in the transaction of a batch alone (streams.kafka.partition), and are restored by "
    "streams.kafka.restore; whoever changes the table would change what no changelog has"
)


class RowStore(SerializedStore[bytes, bytes]):
    """Shows the rows of all partitions that this worker owns: key to the row's JSON, as the changelog has it."""

    def __init__(self, *faust: Any, options: Mapping[str, Any], **as_ever: Any) -> None:  # noqa: ANN401 - what Faust gives its stores
        super().__init__(*faust, options=options, **as_ever)
        self.rows = TableRows(options["changelog"], positions=options["positions"])

    def persisted_offset(self, _: object) -> None:
        """Return None: nothing outlives the process but the changelog."""

    def reset_state(self) -> None:
        """Do nothing: there are no files."""

    async def backup_partition(self, *_: object, **__: object) -> None:
        """Do nothing: the changelog is the backup."""

    def restore_backup(self, *_: object, **__: object) -> None:
        """Do nothing: the changelog is the backup."""

    def apply_changelog_batch(self, *_: object) -> NoReturn:
        """Refuse: Faust's recovery takes a former last stable offset for the end of the changelog."""
        raise TypeError(_CHANGED_ELSEWHERE)

    def _get(self, key: bytes) -> bytes | None:
        return self.rows.value(key)

    def _set(self, *_: object) -> NoReturn:
        raise TypeError(_CHANGED_ELSEWHERE)

    def _del(self, *_: object) -> NoReturn:
        raise TypeError(_CHANGED_ELSEWHERE)

    def _clear(self) -> NoReturn:
        raise TypeError(_CHANGED_ELSEWHERE)

    def _iterkeys(self) -> Iterator[bytes]:
        yield from self.rows.all_keys()

    def _itervalues(self) -> Iterator[bytes | None]:
        for key in self.rows.all_keys():
            yield self.rows.value(key)

    def _iteritems(self) -> Iterator[tuple[bytes, bytes]]:
        for key in self.rows.all_keys():
            value = self.rows.value(key)
            if value is not None:
                yield key, value

    def _size(self) -> int:
        return len(self.rows)

    def _contains(self, key: bytes) -> bool:
        return self.rows.value(key) is not None


def keep_rows(app: faust.App, name: str, changelog: str, partitions: int, *, positions: bool) -> TableRows:
    """Declare Faust's table and return the rows in it; its partitions are placed where those of scenes are."""
    table = app.Table(
        name,
        partitions=partitions,
        key_type=bytes,
        value_type=bytes,
        store=_STORE,
        options={"changelog": changelog, "positions": positions},
        changelog_topic=app.topic(changelog, key_type=bytes, value_type=bytes, internal=True, compacting=True),
    )
    return cast("RowStore", table.data).rows

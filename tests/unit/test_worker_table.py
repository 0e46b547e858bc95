from __future__ import annotations

import pytest

from schemas.sensitivity import Sensitivity
from streams.runtimes.worker_app import App, make_app
from streams.runtimes.worker_rows import TableRows
from streams.runtimes.worker_table import RowStore, keep_rows
from streams.settings import KafkaSettings, WebSettings


def row(key: str, offered: int) -> bytes:
    return Sensitivity(key=key, offered=offered).model_dump_json().encode()


def made() -> tuple[App, TableRows]:
    app = make_app(KafkaSettings(), WebSettings())
    return app, keep_rows(app, "sensitivity", "rows", 4, positions=False)


def test_fausts_table_holds_the_rows_of_all_partitions() -> None:
    app, rows = made()
    table = app.tables["sensitivity"]
    assert isinstance(table.data, RowStore)
    assert table.changelog_topic.get_topic_name() == "rows"
    rows.of(0).restore(b"ada", row("ada", 1), None)
    rows.of(3).restore("ключ".encode(), row("ключ", 2), None)
    assert dict(table.items()) == {b"ada": row("ada", 1), "ключ".encode(): row("ключ", 2)}
    # In use or at rest, a row reads the same.
    assert rows.of(0).get("ada").offered == 1
    assert (table[b"ada"], len(table), b"eve" in table) == (row("ada", 1), 2, False)
    assert sorted(table.values()) == sorted([row("ada", 1), row("ключ", 2)])
    with pytest.raises(KeyError, match="eve"):
        table[b"eve"]
    assert b"\xff" not in table
    rows.drop(3)
    assert list(table.keys()) == [b"ada"]


def test_nobody_changes_rows_by_fausts_table() -> None:
    app, _ = made()
    store = app.tables["sensitivity"].data
    with pytest.raises(TypeError, match="in the transaction of a batch alone"):
        store[b"ada"] = b"{}"
    with pytest.raises(TypeError, match="no changelog has"):
        del store[b"ada"]
    with pytest.raises(TypeError, match="restored by"):
        store.apply_changelog_batch([], bytes, bytes)
    with pytest.raises(TypeError, match="rows of sensitivity change"):
        store.clear()

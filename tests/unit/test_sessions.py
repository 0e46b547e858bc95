from __future__ import annotations

from pathlib import Path

import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from models import cpu
from models.errors import ModelError
from models.sessions import Runtime, open_session


def doubling() -> bytes:
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "doubling", value[:1], value[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10).SerializeToString()


def test_bytes_and_files_open_on_the_cpu(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(doubling())
    for model in (doubling(), tmp_path / "model.onnx"):
        session = open_session(model, Runtime("cpu", 2))
        assert session.get_providers() == ["CPUExecutionProvider"]
        assert session.run(None, {"x": [1.5]})[0].tolist() == [3.0]


@pytest.mark.parametrize("content", [b"", b"\x00\x01garbage", doubling()[:-9]])
def test_what_cannot_be_read_is_a_model_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"broken.onnx cannot be opened"):
        open_session(path, Runtime())
    with pytest.raises(ModelError, match="given as bytes cannot be opened"):
        open_session(content, Runtime())


def test_a_missing_file_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"absent.onnx cannot be opened"):
        open_session(tmp_path / "absent.onnx", Runtime())


def test_a_missing_provider_is_said_never_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(ModelError, match=r"provider cuda is not available.*onnxruntime-gpu"):
        open_session(doubling(), Runtime("cuda", 1))


def test_a_provider_that_does_not_start_is_said_too(monkeypatch: pytest.MonkeyPatch) -> None:
    session = open_session(doubling(), Runtime())
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    monkeypatch.setattr(ort, "InferenceSession", lambda *_args, **_options: session)
    with pytest.raises(ModelError, match="provider cuda is not available"):
        open_session(doubling(), Runtime("cuda", 1))


def test_small_models_stay_on_one_cpu_thread() -> None:
    assert Runtime("cuda", 4).small() == Runtime("cpu", 1)


@pytest.mark.parametrize(
    ("machine", "info", "overflows"),
    [
        ("x86_64", "processor: 0\nflags\t\t: fpu avx2 avx512_vnni\n", False),
        ("x86_64", "flags : fpu avx2 avx_vnni", False),
        ("x86_64", "flags : fpu avx2 avx512f", True),
        ("x86_64", None, True),
        ("aarch64", None, False),
    ],
)
def test_int8_products_are_trusted_only_where_they_are_exact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: str, info: str | None, *, overflows: bool
) -> None:
    if info is not None:
        (tmp_path / "cpuinfo").write_text(info)
    monkeypatch.setattr(cpu, "CPU_INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(cpu.platform, "machine", lambda: machine)
    assert cpu.int8_products_overflow.__wrapped__() is overflows

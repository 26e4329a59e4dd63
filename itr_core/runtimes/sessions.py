"""One exported tower in its runtime: a function from an input array to embeddings."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from itr_core.errors import ModelError, reason_of

Session = Callable[[Any], "np.ndarray[Any, Any]"]
SUFFIXES = {"onnx": (".onnx",), "openvino": (".xml", ".bin")}


def open_session(path: Path, runtime: str, precision: str) -> Session:
    """Load a tower; `path` is its .onnx or .xml file.

    Raises:
        ModelError: The runtime is not installed, or it cannot read the file.
    """
    try:
        return _onnx(path) if runtime == "onnx" else _openvino(path, precision)
    except ImportError as error:
        raise ModelError(
            f"The runtime {runtime} is not installed: pip install 'pairscope[{runtime}]'"
        ) from error
    except RuntimeError as error:
        raise ModelError(f"{path} cannot be loaded ({reason_of(error)}). Export it again.") from error


def _onnx(path: Path) -> Session:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda array: session.run(None, {name: array})[0]


def _openvino(path: Path, precision: str) -> Session:
    import openvino

    hint = "bf16" if precision == "bf16" else "f32"
    settings = {"INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "LATENCY"}
    # In a thread of its own: OpenVINO gives the thread that compiles a stack for signals. When several models
    # are deleted, the thread is left with one that was freed, and its next signal ends the process.
    with ThreadPoolExecutor(max_workers=1) as thread:
        compiled = thread.submit(openvino.Core().compile_model, str(path), "CPU", settings).result()
    request = compiled.create_infer_request()
    return lambda array: np.array(request.infer({0: array})[0])

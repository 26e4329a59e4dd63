"""Threads that import modules of scikit-learn at the same time."""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
IN_CIRCLES = ("sklearn", "textblob", "umap")
"""scikit-learn, and libraries that import some of its modules."""

# One thread asks for linear_model, which imports svm; the other is in the middle of importing svm.
RACE = """
import sys
from importlib.machinery import SourceFileLoader
from threading import Event, Thread

import analysis.calibration, analysis.lexicon

in_svm, past_svm = Event(), Event()
failed = []

execute = SourceFileLoader.exec_module

def exec_module(self, module):
    if module.__name__ == "sklearn.linear_model._logistic":
        in_svm.wait(2)
    elif module.__name__ == "sklearn.svm._base":
        past_svm.set()
    elif module.__name__ == "sklearn.svm._classes":
        in_svm.set()
        past_svm.wait(2)
    execute(self, module)

SourceFileLoader.exec_module = exec_module

def run(work):
    try:
        work()
    except ImportError as error:
        failed.append(error)

def calibrate():
    import numpy as np
    n, generator = 40, np.random.default_rng(0)
    image = generator.normal(size=(n, 4)).astype(np.float32)
    analysis.calibration.Calibration.of(image, image, np.arange(n))

threads = [Thread(target=run, args=[work]) for work in (calibrate, lambda: analysis.lexicon.nouns("a dog"))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
sys.exit(str(failed) if failed or not in_svm.is_set() else 0)
"""


def test_two_threads_may_import_at_once() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", RACE], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr


def imports(tree: ast.AST, *, locked: bool = False) -> list[tuple[str, bool]]:
    """Return the library of each import, and whether the lock is held there."""
    found = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            found += [(name.name.partition(".")[0], locked) for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append(((node.module or "").partition(".")[0], locked))
        else:
            holds = isinstance(node, ast.With) and ast.unparse(node.items[0]) == "import_lock"
            found += imports(node, locked=locked or holds)
    return found


def test_libraries_that_import_in_circles_are_imported_with_the_lock() -> None:
    found = {
        (str(file.relative_to(ROOT)), *one)
        for package in ("itr_core", "analysis", "ui")
        for file in (ROOT / package).rglob("*.py")
        for one in imports(ast.parse(file.read_text("utf-8")))
        if one[0] in IN_CIRCLES
    }
    assert len(found) >= 5
    assert {each for each in found if not each[-1]} == set()

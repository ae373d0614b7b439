"""Programs and libraries from npm, installed once for the length of a run, whichever worker comes first."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NPM = "npm"


def modules(told: str, temporary: pytest.TempPathFactory, name: str, *packages: str) -> Path:
    """The ``node_modules`` that hold these packages: below ``told``, or, where that is ``npm``, below a temporary folder of this name.

    Where they cannot be installed the test is skipped, but fails in CI.
    """
    if told != NPM:
        return Path(told) / "node_modules"
    if shutil.which(NPM) is None:
        _give_up(f"npm, which installs {' and '.join(packages)}, is absent")
    root = temporary.getbasetemp()
    folder = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / name
    folder.mkdir(exist_ok=True)
    with _alone(folder):
        if not (folder / "done").exists():
            command = [NPM, "install", "--no-audit", "--no-fund", "--fetch-retries", "1", "--prefix", str(folder), *packages]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                _give_up(f"npm could not install {' and '.join(packages)}: {done.stderr[-1000:]}")
            (folder / "done").touch()
    return folder / "node_modules"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let the other workers wait."""
    import fcntl

    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _give_up(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)

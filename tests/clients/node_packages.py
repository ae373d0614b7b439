"""Programs and libraries from npm, installed for the length of a run."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

NPM = "npm"


def modules(told: str, folder: Path, *packages: str) -> Path:
    """The ``node_modules`` that hold these packages: below ``told``, or below ``folder``, where they are installed if ``told`` is ``npm``.

    Where they cannot be installed the test is skipped, but fails in CI.
    """
    if told != NPM:
        return Path(told) / "node_modules"
    command = [NPM, "install", "--no-audit", "--no-fund", "--fetch-retries", "1", "--prefix", str(folder), *packages]
    if shutil.which(NPM) is None:
        _give_up(f"npm, which installs {' and '.join(packages)}, is absent")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        _give_up(f"npm could not install {' and '.join(packages)}: {done.stderr[-1000:]}")
    return folder / "node_modules"


def _give_up(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)

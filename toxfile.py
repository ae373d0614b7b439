"""Lets tox see the interpreters that pyenv has installed but not put on the path."""

import os
from pathlib import Path

from tox.plugin import impl  # noqa: F401  # tox takes this file for a plugin only when it imports the marker

versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
folders = [str(folder) for folder in sorted(versions.glob("3.1[1-9]*/bin"))]
os.environ["PATH"] = os.pathsep.join([*os.environ.get("PATH", "").split(os.pathsep), *folders])

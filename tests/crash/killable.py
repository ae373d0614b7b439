"""Processes that are made to be killed, and the surroundings they find."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def surroundings(folder: Path, database: Path) -> dict[str, str]:
    """This process's own, without any broker's settings: programs find the modules of ``folder``, and their records go to ``database``."""
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("BROKER", "APCA", "ALPACA"))}
    paths = [str(folder), *([str(ROOT)] if (ROOT / "broker_core").is_dir() else [])]
    return {**keep, "PYTHONPATH": os.pathsep.join(paths), "BROKER_DATABASE": str(database)}


class Killable:
    """A program that first says in one line of JSON how it stands, and then, in lines of kind ``sent``, what it has done."""

    def __init__(self, program: Path, *arguments: str, environ: Mapping[str, str]) -> None:
        command = [sys.executable, str(program), *arguments]
        self.process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def settled(self) -> dict[str, Any]:
        """Its first line, once it comes."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        found: dict[str, Any] = json.loads(line)
        return found

    def kill(self) -> list[str]:
        """Kill -9, and the ids of the orders whose submit had returned."""
        self.process.kill()
        output, _ = self.process.communicate()
        lines = [json.loads(line) for line in output.splitlines() if line.endswith("}")]
        return [line["local_id"] for line in lines if line["kind"] == "sent"]

    def end(self) -> None:
        """Wait for its end, which must be a good one."""
        _, errors = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, errors

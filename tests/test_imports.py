"""The rules of who may import whom, and of what nobody may take from the air, read from the sources.

The checker is a handful of functions over source text; the first half of the tests shows that it can fail, the second half holds the
project against it.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]

LAYERS = (
    "errors",
    "secret",
    "clock",
    "backoff",
    "at_once",
    "requests",
    "option_orders",
    "order_terms",
    "append_only",
    "orders",
    "timeframe",
    "ticks",
    "models",
    "watchlists",
    "families",
    "hookspecs",
    "lifecycle",
    "findings",
    "gate",
    "config",
    "inbox",
    "liveness",
    "gaps",
    "position_audit",
    "sync_state",
    "feed_status",
    "cache",
    "bar_request",
    "bar_download",
    "frames",
    "plugins",
    "notify",
    "order_log",
    "order_book",
    "submission",
    "reconcile",
    "subscriptions",
    "routing",
    "feed_runner",
    "carriers",
    "subscribing",
    "streaming",
    "account_sync",
    "market_data",
    "order_manager",
    "session",
)
"""The core's modules from the ground up: at run time each imports only those before it."""

FOR_PLUGINS = frozenset(
    {"hookspecs", "families", "models", "ticks", "option_orders", "order_terms", "orders", "requests", "timeframe", "watchlists"}
    | {"errors", "clock", "backoff", "at_once", "secret"}
)
"""What a plugin may import of the core."""

PLUGINS = ("broker_core.records", "broker_core.migrations", "broker_alpaca", "broker_demo")
"""Packages found through the entry point, with what belongs to them."""

ON_TOP = ("cli", "testing", "dashboard")
"""Parts of the core that may import all of it, and that none of it imports."""

RECORD_TYPES = "broker_core.records"
"""What a plugin's ``records.py`` may import besides, to give its record types names of its own."""

COMMAND_LINE = "broker_core.cli"
"""What a plugin's ``command.py`` may import besides, to speak like every other command."""

ALLOWED_AT_MODULE_LEVEL: Mapping[str, tuple[str, ...]] = {
    "attrs": ("broker_*",),
    "msgspec": (
        "broker_core/records/*",
        "broker_core/testing/transcripts/*",
        "broker_alpaca/wire/*",
        "broker_alpaca/recording/*",
        "broker_demo/sandbox/*",
    ),
    "aiohttp": (
        "broker_core/testing/transcripts/*",
        "broker_alpaca/transport.py",
        "broker_alpaca/recording/relay.py",
        "broker_demo/sandbox/*",
    ),
    "yarl": ("broker_alpaca/transport.py", "broker_alpaca/recording/relay.py"),
    "peewee": ("broker_core/records/*", "broker_core/migrations/*"),
    "playhouse": ("broker_core/records/*", "broker_core/migrations/*"),
    "psycopg": ("broker_core/records/postgres.py",),
    "alembic": ("broker_alpaca/alembic/*",),
    "sqlalchemy": ("broker_alpaca/alembic/*",),
    "platformdirs": ("broker_core/records/location.py",),
    "pluggy": ("broker_core/hookspecs.py", "broker_core/plugins.py"),
    "click": ("broker_core/cli/*", "broker_*/command.py"),
    "pytest": ("broker_core/testing/contract/*",),
    "pytest_asyncio": ("broker_core/testing/contract/*",),
}
ALLOWED_IN_FUNCTIONS: Mapping[str, tuple[str, ...]] = {
    "pandas": ("broker_core/frames.py", "broker_core/market_data.py", "broker_core/cli/*"),
    "numpy": ("broker_core/frames.py", "broker_demo/*", "broker_alpaca/wire/*"),
    "pyarrow": ("broker_core/cli/*", "broker_demo/bar_file.py"),
    "alpaca": ("broker_alpaca/sdk.py",),
    "requests": ("broker_alpaca/sdk.py",),
    "urllib3": ("broker_alpaca/sdk.py",),
    "exchange_calendars": ("broker_demo/trading_hours.py",),
    "rich": ("broker_core/cli/*",),
    "platformdirs": ("broker_core/config.py", "broker_core/cli/*"),
}
"""Third-party packages by the files that may import them; what is in neither table may be imported nowhere."""

HEAVY = frozenset(
    {"aiohttp", "alpaca", "cattrs", "click", "exchange_calendars", "msgspec", "numpy", "pandas", "peewee", "playhouse"}
    | {"platformdirs", "psycopg", "pyarrow", "requests", "rich", "sqlite3", "stamina"}
)
"""What a fresh ``import broker_core`` must not load."""

AMBIENT = frozenset(
    {f"time.{name}{suffix}" for name in ("time", "monotonic", "perf_counter", "process_time") for suffix in ("", "_ns")}
    | {"time.sleep", "time.localtime", "time.gmtime", "time.strftime"}
    | {"datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today"}
    | {"asyncio.timeout", "asyncio.timeout_at", "asyncio.wait_for", "asyncio.sleep"}
    | {"uuid.uuid1", "uuid.uuid4", "uuid.uuid6", "uuid.uuid7", "os.urandom", "os.getrandom", "threading.Timer"}
)
AMBIENT_MODULES = ("secrets", "random")
AMBIENT_METHODS = frozenset({"call_later", "call_at"})
TIMED_WAITS = frozenset({"asyncio.wait", "asyncio.as_completed"})


class Import(NamedTuple):
    """One imported module: its full name, where, and whether it happens when the file is loaded."""

    name: str
    line: int
    at_module_level: bool
    for_types_only: bool


class _Imports(ast.NodeVisitor):
    def __init__(self, module: str, is_package: bool, modules: frozenset[str]) -> None:
        self.found: list[Import] = []
        self._package = module if is_package else module.rpartition(".")[0]
        self._modules = modules
        self._depth = 0
        self._typing = 0

    def _add(self, name: str, node: ast.AST) -> None:
        self.found.append(Import(name, getattr(node, "lineno", 0), self._depth == 0, self._typing > 0))

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(alias.name, node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = node.module or ""
        if node.level:
            parents = self._package.split(".")
            above = ".".join(parents[: len(parents) - node.level + 1])
            base = f"{above}.{base}".rstrip(".")
        for alias in node.names:
            whole = f"{base}.{alias.name}"
            self._add(whole if whole in self._modules else base, node)

    def visit_If(self, node: ast.If) -> None:
        typing = ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
        self._typing += typing
        for child in node.body:
            self.visit(child)
        self._typing -= typing
        for child in node.orelse:
            self.visit(child)

    def visit_Call(self, node: ast.Call) -> None:
        if ast.unparse(node.func) in ("importlib.import_module", "import_module", "__import__") and node.args:
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                self._add(first.value, node)
        self.generic_visit(node)

    def generic_visit(self, node: ast.AST) -> None:
        inside = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        self._depth += inside
        super().generic_visit(node)
        self._depth -= inside


def module_of(path: str) -> str:
    """The dotted name of a file given by its path from the root."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imports(path: str, text: str, modules: frozenset[str] = frozenset()) -> list[Import]:
    """Every import of a file, dynamic ones with a constant name included. ``modules`` are the project's own, to tell names from modules."""
    visitor = _Imports(module_of(path), path.endswith("/__init__.py"), modules)
    visitor.visit(ast.parse(text))
    return visitor.found


def _within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def _part(name: str) -> str:
    """The core's module that a dotted name belongs to; empty for the package itself."""
    return name.removeprefix("broker_core").strip(".").partition(".")[0]


def broken_layers(path: str, text: str, modules: frozenset[str] = frozenset()) -> list[str]:
    """Imports between the project's packages that go the wrong way."""
    here = module_of(path)
    own = next((plugin for plugin in PLUGINS if _within(here, plugin)), None)
    broken = []
    for found in imports(path, text, modules):
        if not found.name.startswith("broker_") or (found.for_types_only and own is None):
            continue
        where = f"{path}:{found.line} imports {found.name}"
        if own is not None:
            allowed = _within(found.name, own) or (own.startswith("broker_core") and found.name.startswith(PLUGINS[:2]))
            if path == f"{own}/records.py" and found.name == RECORD_TYPES:
                continue
            if path.endswith("/command.py") and _within(found.name, COMMAND_LINE):
                continue
            if not allowed and not (_within(found.name, "broker_core") and _part(found.name) in FOR_PLUGINS):
                broken.append(f"{where}: a plugin may import of the project only itself and {', '.join(sorted(FOR_PLUGINS))}")
        elif not _within(found.name, "broker_core"):
            broken.append(f"{where}: the core knows no broker")
        elif _part(here) in LAYERS:
            below = LAYERS[: LAYERS.index(_part(here))]
            if _part(found.name) not in below:
                broken.append(f"{where}: not below {_part(here)}")
    return broken


def broker_names(path: str, text: str) -> list[str]:
    """Places where the core names a broker's package, in code, text or comment."""
    if not path.startswith("broker_core/"):
        return []
    return [
        f"{path}:{number} names {name}"
        for number, line in enumerate(text.splitlines(), 1)
        for name in ("broker_alpaca", "broker_demo")
        if name in line
    ]


def misplaced_packages(path: str, text: str, modules: frozenset[str] = frozenset()) -> list[str]:
    """Third-party imports in files, or at moments, where they have no place."""
    misplaced = []
    for found in imports(path, text, modules):
        package = found.name.partition(".")[0]
        if package in sys.stdlib_module_names or package.startswith("broker_") or found.for_types_only:
            continue
        early = ALLOWED_AT_MODULE_LEVEL.get(package, ())
        allowed = early if found.at_module_level else early + ALLOWED_IN_FUNCTIONS.get(package, ())
        if not any(fnmatch(path, pattern) for pattern in allowed):
            when = "when it is loaded" if found.at_module_level else "in a function"
            misplaced.append(f"{path}:{found.line} imports {package} {when}")
    return misplaced


class _Ambient(ast.NodeVisitor):
    """Looks up what each dotted name of a file stands for; a parameter hides an imported module of its name."""

    def __init__(self) -> None:
        self.taken: set[tuple[int, str]] = set()
        self._names: dict[str, str] = {}
        self._hidden: list[set[str]] = []
        self._harmless: set[ast.AST] = set()

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            top = alias.name.partition(".")[0]
            self._names[alias.asname or top] = alias.name if alias.asname else top

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.module and not node.level:
            self._names.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})

    def _visit_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        named = node.args
        every = [*named.posonlyargs, *named.args, *named.kwonlyargs, *filter(None, (named.vararg, named.kwarg))]
        # Annotations and defaults are evaluated outside.
        self.visit(named)
        self._hidden.append({argument.arg for argument in every})
        for child in node.body if isinstance(node.body, list) else [node.body]:
            self.visit(child)
        self._hidden.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._visit_function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._visit_function(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._visit_function(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = self._dotted(node.func)
        if name == "asyncio.sleep" and len(node.args) == 1 and ast.unparse(node.args[0]) == "0":
            self._harmless.add(node.func)
        if name == "random.Random" and not node.args and not node.keywords:
            self.taken.add((node.lineno, "random.Random()"))
        if name in TIMED_WAITS and any(word.arg == "timeout" and ast.unparse(word.value) != "None" for word in node.keywords):
            self.taken.add((node.lineno, f"{name}(timeout=…)"))
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if node.attr in AMBIENT_METHODS or (node.attr == "time" and self._is_loop(node.value)):
            self.taken.add((node.lineno, ast.unparse(node)))
        self._judge(node)
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        self._judge(node)

    def _judge(self, node: ast.Attribute | ast.Name) -> None:
        name = self._dotted(node)
        from_chance = name.partition(".")[0] in AMBIENT_MODULES and "." in name and name != "random.Random"
        if node not in self._harmless and (name in AMBIENT or from_chance):
            self.taken.add((node.lineno, name))

    def _dotted(self, node: ast.AST) -> str:
        if isinstance(node, ast.Attribute):
            base = self._dotted(node.value)
            return f"{base}.{node.attr}" if base else ""
        if not isinstance(node, ast.Name) or any(node.id in hidden for hidden in self._hidden):
            return ""
        return self._names.get(node.id, "")

    def _is_loop(self, node: ast.AST) -> bool:
        if isinstance(node, ast.Call):
            return self._dotted(node.func) in ("asyncio.get_running_loop", "asyncio.get_event_loop")
        return ast.unparse(node).rpartition(".")[2].strip("_") in ("loop", "event_loop")


def ambient(path: str, text: str) -> list[str]:
    """Uses of the machine's time, chance and ids, which are passed in everywhere but in ``clock.py``."""
    if path == "broker_core/clock.py":
        return []
    visitor = _Ambient()
    visitor.visit(ast.parse(text))
    return [f"{path}:{line} uses {name}" for line, name in sorted(visitor.taken)]


def sources(*folders: str) -> Iterator[tuple[str, str]]:
    """Path from the root and text of every source file below these folders."""
    for folder in folders:
        for file in sorted((ROOT / folder).rglob("*.py")):
            yield file.relative_to(ROOT).as_posix(), file.read_text(encoding="utf-8")


PACKAGES = ("broker_core", "broker_alpaca", "broker_demo")


@pytest.fixture(scope="module")
def modules() -> frozenset[str]:
    return frozenset(module_of(path) for path, _ in sources(*PACKAGES))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("broker_core/models.py", "from broker_core.session import Session"),
        ("broker_core/models.py", "def f():\n    from broker_core import families"),
        ("broker_core/errors.py", "import broker_core.orders"),
        ("broker_core/lifecycle.py", "from .order_manager import OrderManager"),
        ("broker_core/session.py", "from broker_core.records import store"),
        ("broker_core/session.py", "from broker_core.cli import main"),
        ("broker_core/session.py", "import broker_other"),
        ("broker_core/session.py", "__import__('broker_other')"),
        ("broker_demo/plugin.py", "from broker_core.session import Session"),
        ("broker_demo/plugin.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from broker_core.session import Session"),
        ("broker_demo/plugin.py", "from broker_core import connect"),
        ("broker_demo/plugin.py", "from broker_alpaca.wire import orders"),
        ("broker_demo/plugin.py", "from broker_core.records import ConnectionRecord"),
        ("broker_demo/records.py", "from broker_core.records.engine import Engine"),
        ("broker_core/records/store.py", "from broker_core.order_manager import OrderManager"),
        ("broker_core/records/store.py", "import broker_demo"),
    ],
)
def test_checker_sees_an_import_that_goes_the_wrong_way(path: str, text: str):
    """The layer check reports upward, sideways and hidden imports."""
    assert broken_layers(path, text, frozenset({"broker_core.families", "broker_core.order_manager"}))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("broker_core/models.py", "from broker_core.clock import from_ns"),
        ("broker_core/hookspecs.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from broker_core.session import Session"),
        ("broker_core/session.py", "from .order_manager import OrderManager"),
        ("broker_core/records/store.py", "from broker_core.records.fields import Money\nfrom broker_core.orders import Order"),
        ("broker_core/cli/orders.py", "from broker_core import session"),
        ("broker_demo/plugin.py", "from broker_core.families import Client\nfrom broker_demo import prices"),
        ("broker_demo/records.py", "from broker_core.records import ConnectionRecord"),
    ],
)
def test_checker_lets_downward_imports_pass(path: str, text: str):
    """The layer check is silent about imports that go downwards, inside a package, or for types alone."""
    assert broken_layers(path, text, frozenset({"broker_core.session", "broker_demo.prices"})) == []


def test_checker_sees_a_broker_named_in_text():
    """The name check finds a broker's package in a string, a comment and a docstring of the core, and nowhere else."""
    text = 'x = "broker_demo"  # broker_alpaca\n'

    assert len(broker_names("broker_core/session.py", text)) == 2
    assert broker_names("broker_demo/plugin.py", text) == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("broker_core/session.py", "import aiohttp"),
        ("broker_core/session.py", "def f():\n    import aiohttp"),
        ("broker_core/frames.py", "import pandas as pd"),
        ("broker_core/frames.py", "try:\n    import pandas\nexcept ImportError:\n    pandas = None"),
        ("broker_core/session.py", "def f():\n    from pandas import DataFrame"),
        ("broker_core/session.py", "from pluggy import HookCallError"),
        ("broker_core/cli/app.py", "from rich.table import Table"),
        ("broker_core/session.py", "import importlib\nimportlib.import_module('peewee')"),
        ("broker_core/session.py", "import leftpad"),
        ("broker_demo/exchange.py", "import attr, numpy"),
    ],
)
def test_checker_sees_a_package_out_of_place(path: str, text: str):
    """The package check reports heavy imports at load time, known packages in foreign files, and unknown packages anywhere."""
    assert misplaced_packages(path, text)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("broker_core/frames.py", "def frame():\n    import pandas as pd"),
        ("broker_core/frames.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pandas as pd"),
        ("broker_core/records/store.py", "import peewee\nfrom playhouse.migrations import Runner"),
        ("broker_core/models.py", "import attrs, json, zoneinfo"),
    ],
)
def test_checker_lets_packages_in_their_place_pass(path: str, text: str):
    """The package check is silent about packages where they belong."""
    assert misplaced_packages(path, text) == []


@pytest.mark.parametrize(
    "text",
    [
        "import time\ntime.time()",
        "import time as t\nt.monotonic_ns()",
        "from time import perf_counter as now\nnow()",
        "import time\nf(default=time.time)",
        "from datetime import UTC, datetime\ndatetime.now(UTC)",
        "import datetime as dt\ndt.datetime.utcnow()",
        "from datetime import date\ndate.today()",
        "import uuid\nuuid.uuid4()",
        "from uuid import uuid4\nuuid4()",
        "import random\nrandom.choice([1])",
        "from random import randint\nrandint(1, 2)",
        "import random\nrandom.Random()",
        "import random\nrandom.SystemRandom(1)",
        "import random\ndef f(chance=random.random): chance()",
        "import random\ndef f(random): ...\nrandom.random()",
        "import secrets\nsecrets.token_hex()",
        "import os\nos.urandom(8)",
        "import asyncio\nasyncio.get_running_loop().time()",
        "import asyncio\nloop = asyncio.new_event_loop()\nloop.time()",
        "class A:\n    def f(self):\n        return self._loop.time()",
        "def f(loop):\n    loop.call_later(1, print)",
        "import asyncio\nasync def f():\n    await asyncio.sleep(0.1)",
        "import asyncio\nsleep = asyncio.sleep",
        "import asyncio\nasync def f():\n    async with asyncio.timeout(1): ...",
        "from asyncio import wait_for\nasync def f(x):\n    await wait_for(x, 1)",
        "import asyncio\nasync def f(x):\n    await asyncio.wait(x, timeout=2)",
    ],
)
def test_checker_sees_what_is_taken_from_the_air(text: str):
    """The clock check finds ambient time, chance and ids under any name they are imported by."""
    assert ambient("broker_core/session.py", text)
    assert ambient("broker_core/clock.py", text) == []


@pytest.mark.parametrize(
    "text",
    [
        "import asyncio\nasync def f():\n    await asyncio.sleep(0)",
        "import random\ndef f(chance: random.Random): chance.random()",
        "import random\nrandom.Random(7)",
        "from datetime import datetime, time\ndatetime.fromisoformat('2026-01-01')\ntime(9, 30)",
        "def f(clock): clock.now(); clock.monotonic()",
        "import asyncio\nasync def f(x):\n    await asyncio.wait(x, timeout=None)",
        "quote.time\nbar.time()",
        "import random\ndef f(random: random.Random): random.random()",
        "import random\nasync def f(*, random): return lambda: random.choice([1])",
    ],
)
def test_checker_lets_passed_in_time_and_chance_pass(text: str):
    """The clock check is silent about clocks and chance that were handed over."""
    assert ambient("broker_core/session.py", text) == []


def test_imports_go_downwards(modules: frozenset[str]):
    """Every import between the project's packages goes down the layers."""
    assert [line for path, text in sources(*PACKAGES) for line in broken_layers(path, text, modules)] == []


def test_every_module_of_the_core_has_its_layer():
    """Every module of the core stands in the list of layers, is a plugin of its own, or stands on top."""
    present = {_part(module_of(path)) for path, _ in sources("broker_core")} - {""}

    assert set() == present - {*LAYERS, *ON_TOP, *(_part(plugin) for plugin in PLUGINS[:2])}


def test_core_names_no_broker():
    """No file of the core contains the name of a broker's package."""
    assert [line for path, text in sources("broker_core") for line in broker_names(path, text)] == []


def test_packages_are_imported_where_they_belong(modules: frozenset[str]):
    """Every third-party package is imported only in its files, the heavy ones only inside functions."""
    assert [line for path, text in sources(*PACKAGES) for line in misplaced_packages(path, text, modules)] == []


def test_nothing_is_taken_from_the_air():
    """Time, chance and ids come from ``clock.py`` alone."""
    assert [line for path, text in sources(*PACKAGES) for line in ambient(path, text)] == []


def loaded_by(code: str) -> set[str]:
    """Top-level names of the modules that a fresh interpreter has loaded after running ``code``."""
    program = f"{code}\nimport sys\nprint(*sorted({{name for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split("\n")[-2].split())


def test_import_of_the_core_is_light():
    """A fresh ``import broker_core`` loads none of the heavy packages."""
    loaded = {name.partition(".")[0] for name in loaded_by("import broker_core")}

    assert set() == loaded & HEAVY


@pytest.mark.parametrize("module", ["broker_core.records", "broker_core.session", "broker_demo.plugin"])
def test_extras_are_not_needed(module: str):
    """Every part can be imported where what only an extra installs is missing."""
    assert module in loaded_by(f"import sys\nsys.modules.update(psycopg=None, pyarrow=None)\nimport {module}")


@pytest.mark.parametrize("module", ["broker_core.session", "broker_demo.plugin"])
def test_frames_are_paid_for_when_they_are_made(module: str):
    """Neither a session nor the demo broker loads pandas or NumPy before the first frame."""
    loaded = {name.partition(".")[0] for name in loaded_by(f"import {module}")}

    assert set() == loaded & {"pandas", "numpy", "exchange_calendars", "rich", "click"}


def test_light_check_can_fail():
    """The fresh process reports what it loaded."""
    assert "sqlite3" in loaded_by("import sqlite3")

"""Conventions that matter, held: layers, charters, what only one module may import, sizes."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "oai_usage_pipeline"
MODULES = sorted(PACKAGE.rglob("*.py"))

LAYERS: dict[str, set[str]] = {
    # Each may import itself, the leaves, and what is named here; nothing else of the project.
    "broker": set(),
    "traffic": set(),
    "lake": set(),
    "usage": set(),
    "charge": set(),
    "reference": {"lake"},
    "reconcile": {"lake"},
    "capture": {"lake", "usage", "settings"},
    "refresh": {"charge", "lake", "reference", "usage"},
    "privacy": {"capture", "lake", "refresh", "usage"},
    "maintenance": {"lake", "refresh"},
    "alerts": {"capture"},
    "audit": {"capture", "charge", "lake", "refresh", "usage"},
    "orchestration": {
        "alerts",
        "audit",
        "capture",
        "charge",
        "lake",
        "maintenance",
        "privacy",
        "reconcile",
        "reference",
        "refresh",
        "usage",
        "settings",
        "definitions",
    },
    "definitions": {"orchestration"},
    "embedded": {"broker", "lake", "settings", "traffic", "usage"},
    "cli": {
        "alerts",
        "audit",
        "broker",
        "capture",
        "charge",
        "definitions",
        "embedded",
        "lake",
        "maintenance",
        "orchestration",
        "privacy",
        "reconcile",
        "reference",
        "refresh",
        "settings",
        "traffic",
        "usage",
    },
    "settings": set(),
    "errors": set(),
    "tables": set(),
}
LEAVES = {"errors", "tables"}
ONLY_IN = {
    "apprise": {"alerts/receivers.py"},
    "azure": {
        "capture/event_hub.py",
        "capture/hub_client.py",
        "capture/reception.py",
        "reference/apim.py",
        "traffic/sender.py",
    },
    "deltalake": {"lake"},
    "dagster": {"orchestration", "definitions.py"},
    "presidio_analyzer": {"privacy/redaction.py"},
    "presidio_anonymizer": {"privacy/redaction.py"},
}
USAGE_MAY_IMPORT = {"pydantic", "pydantic_core", "typing_extensions", "polars", "bpe_openai"}
LONGEST_FILE = 400


def name(module: Path) -> str:
    return module.relative_to(PACKAGE).as_posix()


def room(module: Path) -> str:
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(module: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize("module", MODULES, ids=name)
def test_imports_point_one_way(module: Path) -> None:
    own = {each.split(".")[1] for each in imports(module) if each.startswith("oai_usage_pipeline.")}
    if room(module) == "__init__":
        assert own == set()
        return
    allowed = LAYERS[room(module)] | {room(module)} | (LEAVES if room(module) != "broker" else set())
    assert own <= allowed, f"{name(module)} imports {sorted(own - allowed)}"


@pytest.mark.parametrize("module", MODULES, ids=name)
def test_only_its_own_room_imports_a_big_dependency(module: Path) -> None:
    for dependency in {each.split(".")[0] for each in imports(module)} & set(ONLY_IN):
        places = ONLY_IN[dependency]
        assert name(module) in places or room(module) in places, f"{name(module)} imports {dependency}"


@pytest.mark.parametrize("module", [each for each in MODULES if room(each) == "usage"], ids=name)
def test_usage_is_pure(module: Path) -> None:
    import sys

    foreign = {each.split(".")[0] for each in imports(module)} - {"oai_usage_pipeline"}
    assert foreign <= USAGE_MAY_IMPORT | set(sys.stdlib_module_names)
    assert not foreign & {"io", "os", "pathlib", "socket", "subprocess", "urllib", "time", "random"}


@pytest.mark.parametrize("module", [each for each in MODULES if room(each) == "broker"], ids=name)
def test_the_broker_needs_the_standard_library_only(module: Path) -> None:
    import sys

    foreign = {each.split(".")[0] for each in imports(module)} - {"oai_usage_pipeline"}
    assert foreign <= set(sys.stdlib_module_names)


@pytest.mark.parametrize("module", MODULES, ids=name)
def test_every_module_opens_with_its_charter(module: Path) -> None:
    charter = ast.get_docstring(ast.parse(module.read_text()))
    assert charter, f"{name(module)} has no docstring"
    assert len(charter.split("\n")[0]) <= 110


@pytest.mark.parametrize("module", MODULES, ids=name)
def test_no_file_outgrows_one_noun(module: Path) -> None:
    assert len(module.read_text().splitlines()) <= LONGEST_FILE


def test_every_room_is_known_to_the_layers() -> None:
    assert {room(module) for module in MODULES} == set(LAYERS) | {"__init__"}

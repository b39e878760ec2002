"""The guide says what the program does."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from copydesk.config import BotSettings, ChildSettings, Config, Settings, load_config
from pydantic import BaseModel

from .conftest import Run

GUIDE = Path(__file__).parents[3] / "docs" / "configuration.md"


def flat(settings: type[BaseModel], *without: str) -> dict[str, str]:
    """Every setting by its dotted name, with its default as text."""
    found: dict[str, str] = {}
    for name, field in settings.model_fields.items():
        if name in without:
            continue
        if isinstance(field.default, BaseModel):
            found |= {f"{name}.{inner}": default for inner, default in flat(type(field.default)).items()}
        else:
            found[name] = "" if field.default is None else str(field.default)
    return found


def blocks(language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", GUIDE.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [text for of_language, text in found if of_language == language]


def test_the_configuration_in_the_guide_shows_every_setting_with_its_default(tmp_path: Path) -> None:
    (text,) = blocks("toml")
    (tmp_path / "copydesk.toml").write_text(text)
    config = load_config(tmp_path)
    assert config.model_copy(update={"connections": {}}) == Config()
    for settings in (config.engine, config.control):
        assert settings.model_fields_set == set(type(settings).model_fields)


def test_the_guide_lists_every_setting_of_a_bot_and_of_a_child_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `([\w.]+)` \|.*\| *`?([\w.:]*)`? *\|$", GUIDE.read_text(), flags=re.MULTILINE))
    for name, default in flat(BotSettings, "name", "parent", "children", "working").items():
        assert rows.pop(name) == default, name
    child = {name: field.default for name, field in ChildSettings.model_fields.items()}
    for name in ("account", "mode", "value"):
        del child[name]
    for group, settings in list(child.items()):
        if isinstance(settings, Settings):
            del child[group]
            child |= {f"{group}.{name}": field.default for name, field in type(settings).model_fields.items()}
    assert rows == {name: "" if default in (None, ()) else str(default) for name, default in child.items()}


@pytest.mark.parametrize(
    "line", [line for block in blocks("") for line in block.splitlines() if line.startswith("copydesk ")]
)
def test_every_command_of_the_guide_is_there(line: str, run: Run) -> None:
    words = shlex.split(line.partition(" <")[0], comments=True)[1:]
    ran = run(*words, "--help")
    assert ran.status == 0, ran
    assert run(*[*words[:2], "--no-such-option"]).status == 2

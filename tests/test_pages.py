"""The pages made from the source are today's, and leave nothing out."""

import importlib

import pytest

from docs.make_pages import ROOMS, TOLD, pages
from tests.test_house import ROOT

PAGES = {name: (ROOT / "docs" / name).read_text(encoding="utf-8") for name in pages()}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_made_from_today_s_source(name):
    assert pages()[name] == PAGES[name], "run: make reference"


@pytest.mark.parametrize("name", TOLD)
def test_every_name_of_a_door_is_there_with_what_it_says_of_itself(name):
    page = PAGES["reference.md"]
    door = importlib.import_module(name)
    assert f"\n## {name}\n" in page
    for name in getattr(door, "__all__", ()):
        assert f"\n### {name}\n" in page
        told = getattr(door, name)
        if getattr(told, "__module__", "").startswith("jaxrnn") and told.__doc__:
            assert told.__doc__.splitlines()[0] in page


def test_every_room_is_on_the_map():
    doors = [d for top in ("jaxrnn", "experiments") for d in (ROOT / top).rglob("__init__.py")]
    folders = {door.parent.relative_to(ROOT).as_posix() for door in doors}
    assert folders == {"jaxrnn", *ROOMS}

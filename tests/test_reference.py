"""docs/reference.md is what the source says, and leaves no public name out."""

import importlib
import re

import pytest

from docs.make_reference import PACKAGES, reference
from tests.test_house import ROOT

PAGE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")


def test_the_page_is_made_from_today_s_source():
    assert reference() == PAGE, "run: make reference"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_of_a_door_is_there_with_what_it_says_of_itself(package):
    door = importlib.import_module(package)
    assert f"\n## {package}" in PAGE
    for name in getattr(door, "__all__", ()):
        assert len(re.findall(rf"^### {name}$", PAGE, flags=re.MULTILINE)) == 1
        told = getattr(door, name)
        if getattr(told, "__module__", "").startswith("jaxrnn") and told.__doc__:
            assert told.__doc__.splitlines()[0] in PAGE

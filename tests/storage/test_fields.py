import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from jaxrnn.core.errors import InputError
from jaxrnn.storage.fields import check, from_dict, leaves, replaced, setting, to_dict


@dataclass(frozen=True)
class Oven:
    heat: float = setting(180.0, "In degrees.", above=0, at_most=300)
    share: float | None = setting(None, "Of the fan.", at_least=0, below=1)
    mode: str = setting("fan", "How it heats.", choices=("fan", "grill"))

    def __post_init__(self) -> None:
        check(self)
        if self.mode == "grill" and self.share is not None:
            raise InputError("a grill has no fan; leave the share out")


@dataclass(frozen=True)
class Recipe:
    eggs: int = setting(2, "How many.", at_least=0)
    times: tuple[int, ...] | None = setting((5, 10), "Minutes.", at_least=1, changeable=True)
    sweet: bool = setting(False, "With sugar.", flag="sugar")
    oven: Oven = field(default_factory=Oven)

    def __post_init__(self) -> None:
        check(self)


FILE = Path("kitchen.json")
KNOWN = to_dict(Recipe())


def test_settings_are_what_their_json_says():
    for settings in (Recipe(), Recipe(3, None, True, Oven(20.5, 0.25)), Recipe(times=())):
        record = json.loads(json.dumps(to_dict(settings)))
        assert from_dict(Recipe, record, FILE) == settings
    assert KNOWN == {
        "eggs": 2, "times": [5, 10], "sweet": False,
        "oven": {"heat": 180.0, "share": None, "mode": "fan"},
    }  # fmt: skip


def test_a_whole_number_may_stand_for_a_float():
    heat = from_dict(Recipe, KNOWN | {"oven": KNOWN["oven"] | {"heat": 200}}, FILE).oven.heat
    assert (heat, type(heat)) == (200.0, float)


def test_leaves_are_found_by_name_wherever_they_are():
    assert [".".join(leaf.path) for leaf in leaves(Recipe)] == [
        "eggs", "times", "sweet", "oven.heat", "oven.share", "oven.mode"
    ]  # fmt: skip
    changed = replaced(Recipe(), heat=250.0, eggs=1)
    assert changed == Recipe(1, oven=Oven(250.0))
    assert [leaf.of(changed) for leaf in leaves(Recipe)] == [1, (5, 10), False, 250.0, None, "fan"]
    with pytest.raises(TypeError, match="salt"):
        replaced(Recipe(), salt=1)


def test_a_value_is_shown_as_it_is_typed():
    flags = [leaf.as_flag(leaf.of(Recipe())) for leaf in leaves(Recipe)]
    assert flags == [
        "--eggs=2", "--times=5,10", "--nosugar", "--heat=180.0", "no --share", "--mode=fan"
    ]  # fmt: skip
    assert next(leaf for leaf in leaves(Recipe) if leaf.name == "times").as_flag(()) == "no --times"


WRONG = {
    "eggs": [(-1, "must be at least 0"), (2.0, "must be a whole number"), (None, "a whole number"),
             (True, "must be a whole number"), ("2", "must be a whole number")],
    "times": [([5, 0], "has an entry that must be at least 1"),
              ([5, 0.5], "has an entry that must be a whole number"),
              (5, "must be a list of whole numbers"), ("55", "must be a list of whole numbers")],
    "sweet": [(0, "must be true or false")],
    "oven": [(None, "lacks 'settings.oven'"), ([], "not an object"), ({}, "lacks"),
             (KNOWN["oven"] | {"salt": 1}, "a setting 'settings.oven.salt', which is unknown")],
}  # fmt: skip
WRONG_INSIDE = {
    "heat": [(0, "must be above 0 and at most 300"), (300.5, "must be above 0 and at most 300"),
             (float("nan"), "must be a finite number"), ("hot", "must be a number")],
    "share": [(1.0, "must be at least 0 and below 1"), (-0.5, "must be at least 0 and below 1")],
    "mode": [("steam", "must be one of fan, grill"), (None, "must be a string")],
}  # fmt: skip
CASES = [
    *((KNOWN | {name: value}, f"settings.{name}", told)
      for name, values in WRONG.items() for value, told in values),
    *((KNOWN | {"oven": KNOWN["oven"] | {name: value}}, f"settings.oven.{name}", told)
      for name, values in WRONG_INSIDE.items() for value, told in values),
]  # fmt: skip


@pytest.mark.parametrize(("record", "name", "told"), CASES)
def test_a_record_with_a_wrong_field_is_refused_by_its_name(record, name, told):
    with pytest.raises(InputError) as refused:
        from_dict(Recipe, record, FILE)
    sentence = str(refused.value)
    assert sentence.startswith("kitchen.json ")
    assert name in sentence
    assert told in sentence
    assert sentence.endswith(
        "; another version wrote it, or it is damaged, so give another directory"
    )


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (None, "lacks 'settings'"),
        ({name: KNOWN[name] for name in ("eggs", "times", "oven")}, "lacks 'settings.sweet'"),
        (KNOWN | {"salt": 1}, "has a setting 'settings.salt', which is unknown"),
        (KNOWN | {"oven": {"heat": 1.0, "share": 0.5, "mode": "grill"}}, "a grill has no fan"),
    ],
)
def test_a_record_that_is_not_whole_is_refused(record, told):
    with pytest.raises(InputError, match=told) as refused:
        from_dict(Recipe, record, FILE)
    assert "kitchen.json" in str(refused.value)


def test_settings_that_could_not_be_are_refused_when_they_are_made():
    with pytest.raises(InputError, match=r"heat is -1\.0; it must be above 0 and at most 300"):
        Oven(-1.0)
    with pytest.raises(InputError, match="eggs is -1; it must be at least 0"):
        replaced(Recipe(), eggs=-1)

"""What config.json keeps of a run's past: from which step on something else decided its steps.

    "surroundings": [{"from": 0, "devices": 2, ...}]
    "overrides": [{"from": 500, "settings": {"learning_rate": [0.004, 0.001]}}]

Each of an entry's settings, called as its flag is, has the value before that step and the one from
there on. A run that goes on from a step forgets what was noted for that step or a later one: those
steps are lost, and are taken again by what decides now.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxrnn.core.checks import shown
from jaxrnn.core.errors import InputError
from jaxrnn.running.surroundings import change
from jaxrnn.storage.fields import leaves

History = list[dict[str, Any]]  # entries with "from", the earliest first

# What an entry must hold besides, where it holds it at all.
_OBJECTS = {"surroundings": ("versions", "options"), "overrides": ("settings",)}


def history_in(config: Mapping[str, Any], name: str, file: Path) -> History:
    """One of the two histories.

    Args:
      config: what a run's config.json holds.
      name: of the history.
      file: where it was read, for an error's sentence.

    Raises:
      InputError: it is none.
    """
    found = config.get(name, [])
    if not isinstance(found, list) or not all(_is_entry(entry, name) for entry in found):
        raise InputError(
            f"{file} has {shown(found)} for '{name}', where a list of objects with 'from' and "
            f"'{_OBJECTS[name][0]}' is expected; take it out of the file"
        )
    return found


def computed_by(history: History, start: int, now: Mapping[str, Any]) -> tuple[History, str | None]:
    """The history of a run that goes on from a step; one sentence, where it was another so far.

    Args:
      history: so far.
      start: the step.
      now: as from `surroundings`.
    """
    before = [entry for entry in history if entry["from"] < start]
    changed = change(before[-1], now) if before else None
    return before + ([{"from": start, **now}] if changed or not before else []), changed


def overridden(history: History, start: int, there: Any, here: Any) -> tuple[History, str | None]:
    """Likewise, of settings that may change on purpose.

    Args:
      history: so far.
      start: the step.
      there: the settings of the last session.
      here: those of this one.
    """
    kept = [entry for entry in history if entry["from"] < start]
    lost = [entry["settings"] for entry in history if entry["from"] >= start]
    changed, told = {}, []
    for leaf in leaves(type(here)):
        if not leaf.meaning.overridable:
            continue
        known = (entry[leaf.flag][0] for entry in lost if leaf.flag in entry)
        before, now = next(known, leaf.of(there)), leaf.of(here)
        if before != now:
            changed[leaf.flag] = [before, now]
            told.append(f"{leaf.as_flag(now)}, so far {leaf.as_flag(before)}")
    if not changed:
        return kept, None
    sentence = f"From step {start:,} on: {'; '.join(told)}."
    return [*kept, {"from": start, "settings": changed}], sentence


def _is_entry(entry: Any, name: str) -> bool:
    if not isinstance(entry, dict) or type(entry.get("from")) is not int:
        return False
    if not all(isinstance(entry.get(inside, {}), dict) for inside in _OBJECTS[name]):
        return False
    pairs = entry.get("settings", {}).values() if name == "overrides" else ()
    return all(isinstance(pair, list) and len(pair) == 2 for pair in pairs)

import json
from dataclasses import dataclass

import filelock
import pytest

from jaxrnn.core.errors import InputError
from jaxrnn.running.workdir import WorkDirectory, open_workdir, read_json, surroundings_before
from jaxrnn.storage.fields import setting

CONFIG = {"hidden": [8], "corpus": ["a.txt"], "network": {"input": 3}}
NOW = {"devices": 2, "cores": 2, "platform": "cpu", "versions": {"jax": "0.10.2"}}


def config_of(path):
    config = read_json(path / "config.json")
    assert config is not None
    return config


def test_the_configuration_is_kept(tmp_path):
    with open_workdir(tmp_path / "runs" / "first", CONFIG):
        pass
    assert config_of(tmp_path / "runs" / "first") == CONFIG | {"surroundings": []}


def test_what_computed_is_kept_and_all_that_did_before_it(tmp_path):
    with open_workdir(tmp_path, CONFIG) as workdir:
        assert workdir.note_surroundings(0, NOW) is None
        assert workdir.note_surroundings(50, NOW) is None
    with open_workdir(tmp_path, CONFIG) as workdir:
        said = workdir.note_surroundings(100, NOW | {"devices": 1, "versions": {"jax": "0.11"}})
    assert said is not None
    assert "Going on with jax 0.11, 1 device where so far it was jax 0.10.2, 2 devices:" in said
    with open_workdir(tmp_path, CONFIG) as workdir:
        said = workdir.note_surroundings(150, NOW)
    assert said is not None
    assert "with jax 0.10.2, 2 devices where so far it was jax 0.11, 1 device:" in said
    history = [
        {"from": 0, **NOW},
        {"from": 100, **NOW, "devices": 1, "versions": {"jax": "0.11"}},
        {"from": 150, **NOW},
    ]
    assert config_of(tmp_path) == CONFIG | {"surroundings": history}
    before = [surroundings_before(tmp_path, step) for step in (0, 1, 100, 101, 200)]
    assert before == [None, *[history[i] for i in (0, 0, 1, 2)]]


def test_what_computed_only_steps_that_were_lost_is_forgotten(tmp_path):
    with open_workdir(tmp_path, CONFIG) as workdir:
        workdir.note_surroundings(0, NOW | {"devices": 1})  # killed before anything was saved
        assert workdir.note_surroundings(0, NOW) is None
        assert workdir.note_surroundings(50, NOW | {"cores": 1}) is not None  # likewise
        assert workdir.note_surroundings(50, NOW) is None
    assert config_of(tmp_path)["surroundings"] == [{"from": 0, **NOW}]


@pytest.mark.parametrize(
    "history", [3, {"from": 0}, [3], [{"from": "0"}], [{}], [{"from": 0, "versions": 1}]]
)
def test_surroundings_that_are_none_are_refused(history, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | {"surroundings": history}))
    with pytest.raises(InputError, match="'surroundings'"), open_workdir(tmp_path, CONFIG):
        pass
    with pytest.raises(InputError, match="'surroundings'"):
        surroundings_before(tmp_path, 10)


def test_tuples_equal_the_lists_that_they_become(tmp_path):
    for hidden in ((8,), [8]):
        with open_workdir(tmp_path, CONFIG | {"hidden": hidden}):
            pass


def test_all_fields_that_differ_are_named(tmp_path):
    with open_workdir(tmp_path, CONFIG):
        pass
    other = CONFIG | {"hidden": [9], "corpus": ["b.txt"], "seed": 1}
    with pytest.raises(InputError) as refused, open_workdir(tmp_path, other):
        pass
    for named in ("hidden is [8] there and [9] here", "corpus", "seed is null there and 1 here"):
        assert named in str(refused.value)
    assert config_of(tmp_path)["hidden"] == [8]


@dataclass(frozen=True)
class Settings:
    seed: int = setting(0, "")
    rates: tuple[float, ...] = setting((0.5, 0.25), "")
    skip: bool = setting(False, "")
    clip: float | None = setting(1.0, "", flag="clip_norm")
    steps: int = setting(10, "", changeable=True)


def test_settings_that_differ_are_named_as_flags_and_alone(tmp_path):
    with open_workdir(tmp_path, CONFIG, Settings()):
        pass
    assert config_of(tmp_path)["settings"]["rates"] == [0.5, 0.25]
    other = Settings(seed=1, rates=(0.125,), skip=True, clip=None, steps=20)
    with (
        pytest.raises(InputError) as refused,
        open_workdir(tmp_path, CONFIG | {"network": {"input": 4}}, other),
    ):
        pass
    assert (
        "(--seed=0 there and --seed=1 here; --rates=0.5,0.25 there and --rates=0.125 here; "
        "--noskip there and --skip here; --clip_norm=1.0 there and no --clip_norm here); "
    ) in str(refused.value)
    with (  # what follows from settings is named where they are the same
        pytest.raises(InputError, match=r'network is {"input": 3} there'),
        open_workdir(tmp_path, CONFIG | {"network": {"input": 4}}, Settings()),
    ):
        pass
    assert config_of(tmp_path)["settings"]["steps"] == 10


def test_changeable_settings_may_change(tmp_path):
    for steps in (10, 20):
        with open_workdir(tmp_path, CONFIG, Settings(steps=steps)):
            pass
        assert config_of(tmp_path)["settings"]["steps"] == steps


def test_a_run_without_settings_is_refused_where_there_should_be_some(tmp_path):
    with open_workdir(tmp_path, CONFIG):
        pass
    with (
        pytest.raises(InputError, match=r"config\.json lacks 'settings'; "),
        open_workdir(tmp_path, CONFIG, Settings()),
    ):
        pass


def test_a_directory_is_for_one_run_at_a_time_and_free_afterwards(tmp_path):
    with (
        open_workdir(tmp_path, CONFIG),
        pytest.raises(InputError, match="another run is using"),
        open_workdir(tmp_path, CONFIG),
    ):
        pass
    with pytest.raises(ZeroDivisionError), open_workdir(tmp_path, CONFIG):
        _ = 1 / 0
    with filelock.FileLock(tmp_path / ".lock", timeout=0):
        pass


@pytest.mark.parametrize("content", ["{", "[]", "\xff"])
def test_a_damaged_configuration_is_refused(content, tmp_path):
    (tmp_path / "config.json").write_text(content, encoding="latin-1")
    with pytest.raises(InputError, match=r"config\.json"), open_workdir(tmp_path, CONFIG):
        pass
    assert (tmp_path / "config.json").read_text(encoding="latin-1") == content


def test_hidden_files_do_not_make_a_directory_another_ones(tmp_path):
    (tmp_path / ".DS_Store").touch()
    with open_workdir(tmp_path, CONFIG):
        pass


def test_files_are_replaced_at_once(tmp_path):
    workdir = WorkDirectory(tmp_path)
    workdir.write_text("note.txt", "old")
    with (tmp_path / "note.txt").open() as old:
        workdir.write_text("note.txt", "été")
        assert old.read() == "old"
    assert (tmp_path / "note.txt").read_text(encoding="utf-8") == "été"
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


def test_a_line_that_a_crash_cut_short_is_left_out_and_written_over(tmp_path):
    workdir = WorkDirectory(tmp_path)
    assert workdir.metrics() == []
    for step in (10, 20, 30):
        workdir.log({"step": step})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4')
    assert [record["step"] for record in workdir.metrics()] == [10, 20, 30]
    workdir.forget_after(20)
    workdir.log({"step": 25})
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [10, 20, 25]


def test_nothing_is_written_that_is_not_strict_json(tmp_path):
    workdir = WorkDirectory(tmp_path)
    workdir.write_json("result.json", {"best": float("inf"), "valid": [float("nan"), 1.5]})
    text = (tmp_path / "result.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail) == {"best": None, "valid": [None, 1.5]}


def test_after_a_crash_in_mid_line_no_measurement_is_lost_but_that_one(tmp_path):
    workdir = WorkDirectory(tmp_path)
    workdir.log({"step": 10})
    with (tmp_path / "metrics.jsonl").open("ab") as file:
        file.write(b'{"step": 20, "unit": "\xff')
    workdir.log({"step": 30})
    assert [record["step"] for record in workdir.metrics()] == [10, 30]
    workdir.forget_after(30)
    assert [record["step"] for record in workdir.metrics()] == [10, 30]

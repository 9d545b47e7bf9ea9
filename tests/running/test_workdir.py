import json
import os
from dataclasses import dataclass

import filelock
import pytest

from jaxrnn.core.errors import InputError
from jaxrnn.running.opening import open_workdir
from jaxrnn.running.workdir import WorkDirectory, read_config, read_json, surroundings_before
from jaxrnn.storage.fields import setting

CONFIG = {"hidden": [8], "corpus": ["a.txt"], "network": {"input": 3}}
NOW = {"devices": 2, "cores": 2, "platform": "cpu", "versions": {"jax": "0.10.2"}}


def trained(path):
    """Has a work directory hold a checkpoint, as far as anyone looks who does not read it."""
    (path / "checkpoints" / "last" / "000001-step-10").mkdir(parents=True, exist_ok=True)


def begun(path, config=CONFIG, settings=None, **options):
    with open_workdir(path, config, settings, **options) as workdir:
        workdir.begin(0, NOW)
    trained(path)


def config_of(path):
    config = read_json(path / "config.json")
    assert config is not None
    return config


def test_the_configuration_is_kept(tmp_path):
    begun(tmp_path / "runs" / "first")
    assert config_of(tmp_path / "runs" / "first") == CONFIG | {"surroundings": [{"from": 0, **NOW}]}


def test_what_computed_is_kept_and_all_that_did_before_it(tmp_path):
    with open_workdir(tmp_path, CONFIG) as workdir:
        assert workdir.begin(0, NOW) is None
        assert workdir.begin(50, NOW) is None
    with open_workdir(tmp_path, CONFIG) as workdir:
        said = workdir.begin(100, NOW | {"devices": 1, "versions": {"jax": "0.11"}})
    assert said is not None
    assert "Going on with jax 0.11, 1 device where so far it was jax 0.10.2, 2 devices:" in said
    with open_workdir(tmp_path, CONFIG) as workdir:
        said = workdir.begin(150, NOW)
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
        workdir.begin(0, NOW | {"devices": 1})  # killed before anything was saved
        assert workdir.begin(0, NOW) is None
        assert workdir.begin(50, NOW | {"cores": 1}) is not None  # likewise
        assert workdir.begin(50, NOW) is None
    assert config_of(tmp_path)["surroundings"] == [{"from": 0, **NOW}]


@pytest.mark.parametrize(
    "history", [3, {"from": 0}, [3], [{"from": "0"}], [{}], [{"from": 0, "versions": 1}]]
)
def test_surroundings_that_are_none_are_refused(history, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | {"surroundings": history}))
    trained(tmp_path)
    with pytest.raises(InputError, match="'surroundings'"), open_workdir(tmp_path, CONFIG):
        pass
    with pytest.raises(InputError, match="'surroundings'"):
        surroundings_before(tmp_path, 10)


def test_tuples_equal_the_lists_that_they_become(tmp_path):
    for hidden in ((8,), [8]):
        begun(tmp_path, CONFIG | {"hidden": hidden})


def test_all_fields_that_differ_are_named(tmp_path):
    begun(tmp_path)
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
    clip: float | None = setting(1.0, "", flag="clip_norm", overridable=True)
    drop: float = setting(0.0, "", overridable=True)
    steps: int = setting(10, "", changeable=True)


def test_settings_that_differ_are_named_as_flags_and_alone(tmp_path):
    begun(tmp_path, CONFIG, Settings())
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
        "--seed, --rates, --skip cannot change in a run, so give the same settings"
    ) in str(refused.value)
    with (  # what follows from settings is named where they are the same
        pytest.raises(InputError, match=r'network is {"input": 3} there'),
        open_workdir(tmp_path, CONFIG | {"network": {"input": 4}}, Settings()),
    ):
        pass
    assert config_of(tmp_path)["settings"]["steps"] == 10


def test_changeable_settings_may_change(tmp_path):
    for start, steps in ((0, 10), (10, 20)):
        with open_workdir(tmp_path, CONFIG, Settings(steps=steps)) as workdir:
            workdir.begin(start, NOW)
        trained(tmp_path)
        assert config_of(tmp_path)["settings"]["steps"] == steps
    with open_workdir(tmp_path, CONFIG, Settings(steps=15)):
        pass  # nothing is trained for it
    assert config_of(tmp_path)["settings"]["steps"] == 20


def overriding(path, start, override=True, **settings):
    """Goes on from a step with other settings; what is noted of them from which steps on."""
    with open_workdir(path, CONFIG, Settings(**settings), override=override) as workdir:
        workdir.forget_after(start)
        workdir.begin(start, NOW)
        workdir.begin(start, NOW)  # as after a kill: noted once
        noted = [record for record in workdir.metrics() if "overridden" in record]
    history = config_of(path).get("overrides", [])
    assert noted == [{"step": each["from"], "overridden": each["settings"]} for each in history]
    return {each["from"]: each["settings"] for each in history}


def test_settings_may_be_overridden_and_it_is_kept_from_which_step_on(tmp_path):
    begun(tmp_path, CONFIG, Settings())
    with (
        pytest.raises(InputError, match=r"--drop=0.0 there and --drop=0.5 here\); give --override"),
        open_workdir(tmp_path, CONFIG, Settings(drop=0.5)),
    ):
        pass
    with (
        pytest.raises(InputError, match=r"there and --seed=1 here\); --seed cannot change"),
        open_workdir(tmp_path, CONFIG, Settings(seed=1, drop=0.5), override=True),
    ):
        pass
    first = {50: {"drop": [0.0, 0.5]}}
    assert overriding(tmp_path, 50, drop=0.5) == first
    assert overriding(tmp_path, 70, override=False, drop=0.5) == first
    both = first | {80: {"clip_norm": [1.0, None], "drop": [0.5, 0.25]}}
    assert overriding(tmp_path, 80, drop=0.25, clip=None) == both
    # A checkpoint of an earlier step is gone on from: what was overridden later is so from there.
    assert overriding(tmp_path, 60, override=False, drop=0.25, clip=None) == first | {60: both[80]}
    merged = {40: {"clip_norm": [1.0, None], "drop": [0.0, 0.25]}}
    assert overriding(tmp_path, 40, override=False, drop=0.25, clip=None) == merged
    assert overriding(tmp_path, 40, drop=0.0, clip=None) == {40: {"clip_norm": [1.0, None]}}
    assert overriding(tmp_path, 30) == {}


def test_a_run_without_settings_is_refused_where_there_should_be_some(tmp_path):
    begun(tmp_path)
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


DAMAGED = {"empty": b"", "zeros": b"\0" * 300, "half": b'{\n  "sett', "no text": b"\xff"}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_configuration_that_a_killed_start_left_damaged_is_in_nobodys_way(content, tmp_path):
    (tmp_path / "config.json").write_bytes(content)
    begun(tmp_path)
    assert config_of(tmp_path)["hidden"] == [8]
    aside = tmp_path / ".config.json.damaged"
    assert (aside.read_bytes() if aside.exists() else b"") == content.strip(b"\0")


@pytest.mark.parametrize("content", [*DAMAGED.values(), None], ids=[*DAMAGED, "gone"])
def test_a_configuration_that_is_lost_beside_checkpoints_is_made_anew_of_its_copy(
    content, tmp_path
):
    begun(tmp_path)
    whole = (tmp_path / "config.json").read_bytes()

    def damage():
        if content is None:
            (tmp_path / "config.json").unlink()
        else:
            (tmp_path / "config.json").write_bytes(content)

    damage()
    with pytest.raises(InputError, match="another configuration"), open_workdir(tmp_path, {}):
        pass
    with open_workdir(tmp_path, CONFIG):
        assert (tmp_path / "config.json").read_bytes() == whole
    damage()
    (tmp_path / ".config.json").unlink()
    with pytest.raises(InputError, match=r"config\.json is .* put it back"):
        read_config(tmp_path)


OTHERS = {
    "of another program": {"config.json": '{"model_type": "bert"}'},
    "no object": {"config.json": "[]"},
    "damaged, beside a program": {"config.json": "{ // mine", "main.c": ""},
    "a result alone": {"config.json": '{"surroundings": []}', "result.json": "{}"},
    "measurements alone": {"metrics.jsonl": '{"step": 3}\n'},
}


@pytest.mark.parametrize("files", OTHERS.values(), ids=OTHERS)
def test_what_somebody_else_made_is_refused_and_left_as_it_is(files, tmp_path):
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=max(files)), open_workdir(tmp_path, CONFIG):
        pass
    assert {
        file.name: file.read_text() for file in tmp_path.iterdir() if file.name != ".lock"
    } == files


def test_where_nothing_was_trained_any_configuration_may_begin(tmp_path):
    with open_workdir(tmp_path, CONFIG, Settings(seed=1)) as workdir:
        workdir.begin(0, NOW)
        workdir.log({"step": 10})
    (tmp_path / "checkpoints" / "last" / "000001-step-0").mkdir(parents=True)
    (tmp_path / "checkpoints" / "last" / "000002-step-10.unfinished").mkdir()
    with open_workdir(tmp_path, CONFIG, Settings(seed=1)):
        assert (tmp_path / "checkpoints").exists()  # of the same run
    with open_workdir(tmp_path, {"hidden": [9]}, Settings(seed=2)) as workdir:
        assert not (tmp_path / "checkpoints").exists()
        workdir.begin(0, NOW)
    assert config_of(tmp_path)["hidden"] == [9]
    assert config_of(tmp_path)["settings"]["seed"] == 2


def test_a_run_that_fails_before_its_first_checkpoint_leaves_all_as_it_was(tmp_path):
    def train(workdir):
        workdir.begin(0, NOW)
        workdir.log({"step": 10})
        unfinished = workdir.path / "checkpoints" / "last" / "000001-step-10.unfinished"
        unfinished.mkdir(parents=True)
        raise MemoryError

    def fail(path, config):
        with pytest.raises(MemoryError), open_workdir(path, config) as workdir:
            train(workdir)

    fail(tmp_path / "runs" / "first", CONFIG)
    assert not any(tmp_path.iterdir())
    (tmp_path / "mine").mkdir()
    fail(tmp_path / "mine", CONFIG)
    assert [file.name for file in (tmp_path / "mine").iterdir()] == [".lock"]
    with open_workdir(tmp_path / "mine", CONFIG) as workdir:  # killed
        workdir.begin(0, NOW)
    fail(tmp_path / "mine", {"hidden": [9]})
    assert config_of(tmp_path / "mine")["hidden"] == [8]


@pytest.mark.parametrize(
    "name", [b"caf\xe9", b"a\nb", b"%20 #?", "\N{PARTY POPPER}".encode(), b"x" * 250, b"[a]{b}*"]
)
def test_a_work_directory_may_have_any_name(name, tmp_path):
    path = tmp_path / os.fsdecode(name) / ".." / os.fsdecode(name)
    begun(path, {"corpus": [str(path)]})
    with open_workdir(path, {"corpus": [str(path)]}) as workdir:
        workdir.log({"step": 1, "file": str(path)})
    assert config_of(path)["corpus"] == [str(path)]
    (path / "config.json").read_text(encoding="utf-8")
    assert workdir.metrics() == [{"step": 1, "file": str(path)}]


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


def test_where_files_cannot_be_locked_nothing_is_left(tmp_path, monkeypatch):
    def refuse(lock, *_, **__):
        (tmp_path / "runs" / "first" / ".lock").touch()  # as it does before it knows
        raise NotImplementedError

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    with (
        pytest.raises(InputError, match="has no locks"),
        open_workdir(tmp_path / "runs" / "first", CONFIG),
    ):
        pass
    assert not list(tmp_path.iterdir())

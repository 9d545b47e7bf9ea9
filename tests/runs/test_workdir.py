import json

import filelock
import pytest

from jaxrnn.errors import InputError
from jaxrnn.runs.workdir import WorkDirectory, open_workdir, read_json

CONFIG = {"hidden": [8], "steps": 10, "corpus": ["a.txt"], "network": {"input": 3}}


def test_the_configuration_is_kept_with_versions(tmp_path):
    with open_workdir(tmp_path / "runs" / "first", CONFIG) as workdir:
        config = workdir.read_json("config.json")
    assert config is not None
    assert {"python", "jax", "numpy", "optax", "orbax-checkpoint"} <= config.pop("versions").keys()
    assert config == CONFIG


def test_tuples_equal_the_lists_that_they_become(tmp_path):
    for hidden in ((8,), [8]):
        with open_workdir(tmp_path, CONFIG | {"hidden": hidden}):
            pass


def test_all_fields_that_differ_are_named_but_those_that_follow_from_them(tmp_path):
    with open_workdir(tmp_path, CONFIG):
        pass
    other = CONFIG | {"hidden": [9], "corpus": ["b.txt"], "network": {"input": 4}, "seed": 1}
    with pytest.raises(InputError) as refused, open_workdir(tmp_path, other):
        pass
    for named in ("hidden is [8] there and [9] here", "corpus", "seed is null there and 1 here"):
        assert named in str(refused.value)
    assert "network" not in str(refused.value)
    with (
        pytest.raises(InputError, match="network is"),
        open_workdir(tmp_path, CONFIG | {"network": {"input": 4}}),
    ):
        pass
    config = read_json(tmp_path / "config.json")
    assert config is not None
    assert config["hidden"] == [8]


def test_when_to_stop_and_other_versions_may_change(tmp_path):
    with open_workdir(tmp_path, CONFIG) as workdir:
        workdir.write_json("config.json", CONFIG | {"versions": {"jax": "0.1"}})
    with open_workdir(tmp_path, CONFIG | {"steps": 20}) as workdir:
        config = workdir.read_json("config.json")
    assert config is not None
    assert config["steps"] == 20
    assert config["versions"]["jax"] != "0.1"


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

import jax
import pytest

from jaxrnn.errors import InputError
from jaxrnn.runs.launch import launch


def code_of(main) -> int:
    with pytest.raises(SystemExit) as exit:
        launch(main, "", ["program"])
    assert isinstance(exit.value.code, int)
    return exit.value.code


def test_the_exit_code_is_what_main_returns():
    assert code_of(lambda: 0) == 0
    assert code_of(lambda: 3) == 3


def test_a_mistake_is_one_line_and_exit_code_2(capsys):
    def main() -> int:
        raise InputError("the moon is not a text; give one")

    assert code_of(main) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith(": the moon is not a text; give one\n")
    assert err.count("\n") == 1


def test_a_bug_keeps_its_traceback():
    def main() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        launch(main, "", ["program"])


def test_ctrl_c_is_exit_code_130(capsys):
    def main() -> int:
        raise KeyboardInterrupt

    assert code_of(main) == 130
    assert capsys.readouterr().err.endswith(": stopped\n")


@pytest.fixture
def no_programs_folder():
    """As for a user who has told JAX nothing about where to keep programs."""
    options = "compilation_cache_dir", "compilation_cache_max_size"
    before = {f"jax_{name}": getattr(jax.config, f"jax_{name}") for name in options}
    before["jax_persistent_cache_min_compile_time_secs"] = 0
    jax.config.update("jax_compilation_cache_dir", None)
    yield
    for name, value in before.items():
        jax.config.update(name, value)


def test_compiled_programs_are_kept_in_the_cache_folder(no_programs_folder, monkeypatch, tmp_path):
    monkeypatch.setenv("JAXRNN_CACHE", str(tmp_path))
    assert code_of(lambda: 0) == 0
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "programs")


def test_a_folder_of_one_s_own_is_left_alone(no_programs_folder, monkeypatch, tmp_path):
    monkeypatch.setenv("JAXRNN_CACHE", str(tmp_path))
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "mine"))
    assert code_of(lambda: 0) == 0
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "mine")


def test_without_a_place_for_programs_things_run_all_the_same(
    no_programs_folder, monkeypatch, tmp_path
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("JAXRNN_CACHE", str(tmp_path / "file"))
    assert code_of(lambda: 0) == 0
    assert jax.config.jax_compilation_cache_dir is None

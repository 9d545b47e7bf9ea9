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

import errno
import os
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import pytest

from jaxrnn import __version__
from jaxrnn.command_line.commands import COMMANDS
from jaxrnn.command_line.completion import script
from jaxrnn.command_line.launch import launch
from jaxrnn.core.errors import InputError
from tests.experiments.launching import COMMANDS as COMMANDS_OF
from tests.experiments.launching import ROOT, launched


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


def raising(error: Exception):
    def main() -> int:
        raise error

    return main


def failing(*path: str):
    """Tries to write a file."""

    def main() -> int:
        with Path(*path).open("w") as file:
            file.write("text")
        return 0

    return main


FILE = "some.txt"
MISTAKES = {
    "missing": (failing("nowhere", FILE), f"nowhere/{FILE}: No such file or directory; check"),
    "a folder": (failing("/"), "/: Is a directory; a file is expected there"),
    "through a file": (failing(__file__, FILE), "Not a directory; a part of the name is a file"),
    "a long name": (failing("x" * 300), "x: File name too long; give a shorter name"),
    "a full disk": (failing("/dev/full"), "a file that is being written: No space left on device;"),
    "a folder in a file's place": (lambda: Path(__file__).mkdir(), "test_launch.py: File exists;"),
    "no permission": (raising(PermissionError(errno.EACCES, "Permission denied", FILE)),
                      f"{FILE}: Permission denied; change its permissions"),
    "read only": (raising(OSError(errno.EROFS, "Read-only file system", FILE)),
                  f"{FILE}: Read-only file system; give a place"),
    "bytes": (raising(OSError(errno.ENOENT, "None", b"some.txt")), f"{FILE}: None; check"),
}  # fmt: skip


@pytest.mark.parametrize(("main", "sentence"), MISTAKES.values(), ids=MISTAKES)
def test_a_file_that_cannot_be_used_is_a_mistake(main, sentence, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert code_of(main) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert sentence in err


def to_a_closed_pipe() -> int:
    read, write = os.pipe()
    os.close(read)
    try:
        os.write(write, b"text")
    finally:
        os.close(write)
    return 0


def to_a_closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        socket.create_connection(free.getsockname()).close()
    return 0


BUGS = {
    "a closed descriptor": lambda: os.read(2**20, 1),
    "a pipe of its own": to_a_closed_pipe,
    "a connection": to_a_closed_port,
    "no file": raising(FileNotFoundError(errno.ENOENT, "No such file or directory")),
    "a process": raising(PermissionError(errno.EPERM, "Operation not permitted")),
    "a descriptor for a name": raising(OSError(errno.EACCES, "Permission denied", 3)),
    "too many files": raising(OSError(errno.EMFILE, "Too many open files", FILE)),
    "a name on the network": raising(socket.gaierror(socket.EAI_NONAME, "not known")),
    "time": raising(TimeoutError(errno.ETIMEDOUT, "timed out")),
    "no number": raising(OSError("something else")),
}


@pytest.mark.parametrize("main", BUGS.values(), ids=BUGS)
def test_other_errors_of_the_system_are_bugs(main):
    with pytest.raises(OSError):  # noqa: PT011
        launch(main, "", ["program"])


PRINTING = """
from jaxrnn.command_line.launch import launch
def main():
    for i in range(100_000):
        print(i)
    return 3
launch(main, "", ["program"])
"""


def test_who_has_read_enough_ends_a_program_in_silence():
    with subprocess.Popen(
        [sys.executable, "-c", PRINTING], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"0\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


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


def jaxrnn(*words: str, redirected: str = "", **options: Any) -> subprocess.CompletedProcess:
    """The command `jaxrnn`, as a shell starts it."""
    command = shlex.join([sys.executable, "-m", "jaxrnn", *words])
    return subprocess.run(
        ["bash", "-c", f"{command} {redirected}"], cwd=ROOT, capture_output=True, text=True,
        check=False, **options,
    )  # fmt: skip


def test_jaxrnn_tells_its_commands_and_its_version_before_jax_is_there():
    told = jaxrnn("--help", env=os.environ | {"PYTHONPROFILEIMPORTTIME": "1"})
    assert all(f"\n  {name} " in told.stdout for name in COMMANDS)
    imported = {line.rpartition("|")[2].strip() for line in told.stderr.splitlines()}
    assert "jaxrnn.command_line.commands" in imported
    assert not imported & {"jax", "numpy", "absl"}
    assert jaxrnn("--version").stdout == f"jaxrnn {__version__}\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "it takes a command; give one of train, sample, evaluate"),
        (["trian"], "there is no command 'trian'; did you mean train?"),
        (["--steps=5", "train"], "there is no command '--steps=5'; give one of train, sample"),
    ],
)
def test_what_is_no_command_is_refused(words, sentence):
    told = jaxrnn(*words)
    assert (told.returncode, told.stdout, told.stderr.count("\n")) == (2, "", 1)
    assert told.stderr.startswith(f"jaxrnn: {sentence}")


def test_a_command_goes_by_its_own_name_and_writes_where_it_can(finished):
    workdir = f"--workdir={finished[0]}"
    nowhere = jaxrnn("sample", workdir, "--length=9", redirected=">&- <&-")
    assert (nowhere.returncode, nowhere.stdout, nowhere.stderr) == (0, "", "")
    full = jaxrnn("sample", workdir, "--length=9", redirected=">/dev/full")
    assert full.returncode == 2
    assert full.stderr.startswith("jaxrnn sample: standard output: No space left on device;")
    assert full.stderr.count("\n") == 1


# Waits in the import of JAX until it is told to go on; there is nobody to tell it.
STALLING = "print('here', flush=True); import time; time.sleep(60)"


@pytest.mark.parametrize("program", [["jaxrnn", "sample"], ["experiments.sample"]], ids=" ".join)
def test_ctrl_c_while_jax_is_imported_ends_a_program_in_silence(program, tmp_path):
    (tmp_path / "jax.py").write_text(STALLING)
    with subprocess.Popen(
        [sys.executable, "-m", *program], cwd=ROOT, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(tmp_path)},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30) == (b"", b"")
    assert process.returncode == -signal.SIGINT


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (["tr"], "train"),
        (["train", "--wor"], "--workdir="),
        (["train", "--nolower"], "--nolowercase"),
        (["sample", "--temp"], "--temperature="),
        (["sample", "--corp"], ""),
    ],
)
def test_bash_completes_commands_and_flags(line, found):
    helps = {COMMANDS_OF[n]: launched(n, "--help").out for n in ("char_lm", "sample")}
    words = shlex.join(["jaxrnn", *line])
    run = f"compopt() {{ :; }}; COMP_WORDS=({words}); COMP_CWORD={len(line)}; _jaxrnn"
    told = subprocess.run(
        ["bash", "-c", f'{script(helps)}\n{run}; echo "${{COMPREPLY[*]}}"'],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert (told.stdout, told.stderr) == (f"{found}\n", "")

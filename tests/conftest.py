"""For all tests: shapes in jaxrnn's signatures are checked, and programs are compiled fast."""

import os
import signal
from collections.abc import Iterator

import jax
import pytest
from jaxtyping import config, install_import_hook

from tests.xla_flags import FAST_COMPILING, are_known, with_flags

install_import_hook("jaxrnn", "beartype.beartype")

# What is put in the background may ignore Ctrl-C, or a hangup; some tests send them.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# The tests spend their time on compiling: little effort for each program, and none a second time.
if "PYTEST_XDIST_WORKER" not in os.environ and are_known(FAST_COMPILING):  # workers inherit it
    os.environ["XLA_FLAGS"] = with_flags(FAST_COMPILING)["XLA_FLAGS"]
JAX_OPTIONS = {
    "jax_disable_most_optimizations": True,
    "jax_persistent_cache_min_compile_time_secs": 0,
    "jax_persistent_cache_min_entry_size_bytes": -1,
}


@pytest.fixture(scope="session", autouse=True)
def caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Encoded texts and compiled programs, for all processes that test and those they start."""
    base = tmp_path_factory.getbasetemp()
    is_worker = "PYTEST_XDIST_WORKER" in os.environ  # one of several, each in a folder of its own
    folder = (base.parent if is_worker else base) / "caches"
    options = JAX_OPTIONS | {"jax_compilation_cache_dir": str(folder / "programs")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAXRNN_CACHE", str(folder / "texts"))
        for name, value in options.items():
            patch.setenv(name.upper(), str(value))
            jax.config.update(name, value)
        yield


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a user: nothing checks arguments but jaxrnn itself."""
    monkeypatch.setattr(config, "jaxtyping_disable", True)

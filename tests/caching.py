"""Caches that make the next of many runs start sooner."""

from collections.abc import Iterator

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache

JAX_OPTIONS = {
    "jax_persistent_cache_min_compile_time_secs": 0,
    "jax_persistent_cache_min_entry_size_bytes": -1,
    "jax_disable_most_optimizations": True,
}


@pytest.fixture(scope="package", autouse=True)
def caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Encoded texts and compiled programs, for this process and those that it starts."""
    folder = tmp_path_factory.mktemp("caches")
    options = JAX_OPTIONS | {"jax_compilation_cache_dir": str(folder / "programs")}
    before = {name: jax.config.values[name] for name in options}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAXRNN_CACHE", str(folder / "texts"))
        for name, value in options.items():
            patch.setenv(name.upper(), str(value))
            jax.config.update(name, value)
        compilation_cache.reset_cache()
        yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()

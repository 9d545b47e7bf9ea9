"""One computation for several replicas: seeds, say, or learning rates."""

from collections.abc import Callable
from typing import Any

import jax


def over_replicas(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, jitted, of arguments that all have replicas along a first axis.

    On accelerators they are lanes of one program; on a CPU, which has nothing idle that more lanes
    could fill, they run one after the other inside the program.
    """

    def run(*arguments: Any) -> Any:
        if jax.default_backend() == "cpu":
            return jax.lax.map(lambda x: function(*x), arguments)
        return jax.vmap(function)(*arguments)

    return jax.jit(run)

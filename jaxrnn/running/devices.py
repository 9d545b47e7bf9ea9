"""Which devices a run takes: a policy; where arrays then lie is `jaxrnn.learning.parallel`'s."""

import math
import os
from collections.abc import Mapping
from typing import Any

import jax

from jaxrnn.core.errors import InputError
from jaxrnn.core.network import Network
from jaxrnn.learning.parallel import by_process, data_mesh, largest_divisor
from jaxrnn.learning.tables import table_shapes

_FORCED = "xla_force_host_platform_device_count"

# When a core of a CPU is worth a device of its own. A smaller network has its cores meet more often
# than they work; fewer lanes hardly fill a product; and every core sums and updates all parameters
# at each step, which takes as long as so many parameters for each character. Each limit lies
# between sizes at which `python -m experiments.char_lm --steps=600 --data_parallel=2` (with
# --cell, --hidden, --batch and --chunk) reads fewer and more characters a second than with
# --data_parallel=1.
LEAST_PARAMETERS = 10_000
LEAST_LANES = 16
MOST_PARAMETERS_A_CHARACTER = 1_000


def use_cores(count: int | None = None) -> bool:
    """Has JAX take each core of a CPU for a device; comes before anything is computed.

    As one device a CPU has its cores share each product, and all but one wait in between, while
    what is elementwise is computed.

    Several CPU devices hang when calls run far ahead of their results (seen at 32, the most that
    JAX's CPU client keeps in flight): read each call's report, as `jaxrnn.running.fitting` does.

    Args:
      count: how many of them; None: all `cores`. Several processes should take equally many.

    Returns:
      False where that is settled: the user told JAX how many devices a CPU is, or JAX has begun.
    """
    told = jax.config.values["jax_num_cpu_devices"] >= 0
    if told or _FORCED in os.environ.get("XLA_FLAGS", ""):
        return False
    try:
        jax.config.update("jax_num_cpu_devices", count or cores())
    except RuntimeError:  # JAX has begun
        return False
    return True


def cores() -> int:
    """Those that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def worthwhile_devices(network: Network, batch: int, chunk: int) -> int | None:
    """How many devices of each process make training faster; None: all that can be used.

    All accelerators do. Of a CPU's cores only as many as are kept busy.
    """
    if jax.default_backend() != "cpu":
        return None
    most = MOST_PARAMETERS_A_CHARACTER * batch * chunk
    # Of tables that are trained by rows devices exchange a step's rows alone.
    exchanged = network.parameter_count - sum(map(math.prod, table_shapes(network)))
    if not LEAST_PARAMETERS <= exchanged <= most:
        return 1
    share = batch // jax.process_count()
    most = max(1, min(share // LEAST_LANES, *map(len, by_process())))
    return largest_divisor(share, most)


def devices_as_before(before: Mapping[str, Any] | None, batch: int) -> int | None:
    """How many devices of each process make as many as there were before; None: that cannot be."""
    now = {"platform": jax.default_backend(), "cores": cores()}
    processes = jax.process_count()
    decisive = ("platform", "cores") if now["platform"] == "cpu" else ("platform",)
    if before is None or any(before.get(name) != now[name] for name in decisive):
        return None  # it will not be equal to the bit anyway
    count = before.get("devices")
    if not isinstance(count, int) or count < processes or count % processes:
        return None
    try:
        data_mesh(batch, count // processes)
    except InputError:
        return None
    return count // processes

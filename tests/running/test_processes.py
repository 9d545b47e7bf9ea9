"""What two processes tell each other, in a program of their own."""

import json
from typing import Any

import pytest

from tests.experiments.several import ended, two_of

TOLD = """
import json, sys
from absl import flags
import jax, jax.numpy as jnp, numpy as np
from jax._src import xla_bridge
from jaxrnn.learning import parallel
from jaxrnn.running import peers
from jaxrnn.running import processes

coordinator, process_id = sys.argv[-3].split("=")[1], int(sys.argv[-1].split("=")[1])
facts = {}
with processes.joined(coordinator, 2, process_id):
    first = process_id == 0
    facts["least"] = processes.least(5 + process_id)
    facts["begun"] = xla_bridge.backends_are_initialized()
    wide = "x" * 2_000_000
    given = {"float": 0.1 + 0.2, "inf": float("inf"), "none": None, "text": ["\\u20ac", wide]}
    facts["json"] = processes.from_writer(lambda: given if first else 1 / 0) == given
    facts["any"] = processes.any_of(15 * process_id)
    facts["time"] = processes.agreed_time(0.1 + process_id)
    parallel.PIECE = 7  # bytes
    bits = np.array([0x80000000, 0x7FC00001, 0xFF800000, 1], np.uint32)  # -0, a NaN, -inf
    state = {
        "floats": bits.view(np.float32), "halves": jnp.arange(3, dtype=jnp.bfloat16),
        "count": np.int32(-7), "nothing": np.zeros((2, 0), np.float32),
        "lanes": np.arange(12, dtype=np.int8).reshape(3, 4).T,
    }
    here = state if first else jax.tree.map(np.zeros_like, state)
    there = parallel.from_first(here)
    facts["state"] = {
        name: np.asarray(there[name]).tobytes() == np.asarray(array).tobytes()
        and there[name].shape == array.shape
        for name, array in state.items()
    }
    mesh = parallel.data_mesh(4)
    state = jax.device_put(jnp.ones(4), parallel.everywhere(mesh))
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, *_, **__: compiled.append(name) if "backend_compile" in name else None
    )
    for _ in range(3):
        jax.block_until_ready(parallel.whole(mesh, state))
        processes.any_of(0)
        facts.setdefault("compiled", []).append(len(compiled))
print(json.dumps(facts), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def facts() -> list[dict[str, Any]]:
    """What the two processes found."""
    outcomes = ended(two_of(("-c", TOLD), ("-c", TOLD), devices=1))
    assert [outcome.code for outcome in outcomes] == [0, 0], outcomes
    return [json.loads(outcome.err) for outcome in outcomes]


def test_a_number_is_agreed_on_before_jax_has_begun(facts):
    assert [(fact["least"], fact["begun"]) for fact in facts] == [(5, False)] * 2


def test_what_the_writer_found_is_told_as_json_of_any_size(facts):
    assert [fact["json"] for fact in facts] == [True, True]


def test_the_largest_number_and_the_writer_s_clock_are_everyone_s(facts):
    assert [(fact["any"], fact["time"]) for fact in facts] == [(15, 0.1)] * 2


def test_a_state_is_handed_over_to_the_bit_in_pieces_of_any_size(facts):
    for fact in facts:
        assert len(fact["state"]) == 5
        assert all(fact["state"].values())


def test_only_the_first_save_compiles(facts):
    assert [fact["compiled"] for fact in facts] == [[1, 1, 1]] * 2

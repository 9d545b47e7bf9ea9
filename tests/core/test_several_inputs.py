"""Several inputs against one that holds them side by side, and outputs against every layer's."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import (
    Connection,
    Dropout,
    InputError,
    Layer,
    Network,
    Options,
    initial_state,
    step,
    unroll,
    unroll_layers,
)
from tests.networks import random_params
from tests.reference import assert_close

LAYERS = [Layer("h", 4, "gru"), Layer("output", 2, "tanh"), Layer("value", 1, "linear")]
WITHIN = [Connection("h", "h", 1), Connection("h", "output"), Connection("h", "value")]
SIDE = [Connection("h", "output", 2)]
SIZES = {"symbols": 3, "speaker": 2}
SEVERAL = Network(
    SIZES, LAYERS,
    [*(Connection(name, "h") for name in SIZES), *(Connection(name, "h", 2) for name in SIZES),
     *WITHIN, *SIDE],
    outputs=("output", "value"),
)  # fmt: skip
JOINED = Network(
    5, LAYERS, [Connection("input", "h"), Connection("input", "h", 2), *WITHIN, *SIDE]
)  # fmt: skip
TIME, BATCH = 6, 2


@pytest.fixture
def given():
    """Parameters, a state and inputs of several, and the same of one."""
    rng = np.random.default_rng(0)
    params = random_params(SEVERAL, rng)
    joined = {name: dict(arrays) for name, arrays in params.items()}
    for delay in (0, 2):
        parts = [joined["h"].pop(f"{name}@{delay}") for name in SIZES]
        joined["h"][f"input@{delay}"] = np.concatenate(parts)
    symbols = rng.integers(3, size=(TIME, BATCH))
    speaker = rng.normal(size=(TIME, BATCH, 2))
    whole = np.concatenate([np.eye(3)[symbols], speaker], axis=-1)
    with jax.enable_x64(True):
        state = jax.tree.map(
            lambda x: jnp.asarray(rng.normal(size=x.shape)), initial_state(SEVERAL, BATCH)
        )
        past = [state.pop(name).past for name in SIZES]
    sides = tuple(np.concatenate(pair, axis=-1) for pair in zip(*past, strict=True))
    return (
        (params, state | {n: type(state["h"])(p, ()) for n, p in zip(SIZES, past, strict=True)},
         {"symbols": symbols, "speaker": speaker}),
        (joined, state | {"input": type(state["h"])(sides, ())}, whole),
    )  # fmt: skip


@pytest.mark.parametrize("segment", [0, 4])
def test_several_inputs_are_one_that_holds_them_side_by_side(given, segment):
    resets = np.random.default_rng(1).random((TIME, BATCH)) < 0.2

    def loss(network, params, state, inputs):
        outputs, after = unroll(
            network, params, state, inputs, resets=resets, options=Options(segment=segment)
        )
        shown = outputs["output"] if isinstance(outputs, dict) else outputs
        return jnp.sum(shown**2), (shown, after["h"])

    with jax.enable_x64(True):
        several, joined = (
            jax.jit(jax.value_and_grad(partial(loss, network), argnums=0, has_aux=True))(*one)
            for network, one in zip((SEVERAL, JOINED), given, strict=True)
        )
    assert_close(several[0], joined[0])
    for delay in (0, 2):
        parts = [several[1]["h"][f"{name}@{delay}"] for name in SIZES]
        assert_close(jnp.concatenate(parts), joined[1]["h"][f"input@{delay}"])


def test_steps_take_inputs_and_return_outputs_by_name(given):
    (params, state, inputs), _ = given
    with jax.enable_x64(True):
        expected, after = unroll(SEVERAL, params, state, inputs)
        layers = unroll_layers(SEVERAL, params, state, inputs)
        taken = []
        for time in range(TIME):
            now = {name: array[time] for name, array in inputs.items()}
            outputs, state = step(SEVERAL, params, state, now)
            taken.append(outputs)
    assert list(expected) == ["output", "value"]
    assert_close(jax.tree.map(lambda *steps: jnp.stack(steps), *taken), expected)
    assert_close({name: layers.outputs[name] for name in expected}, expected)
    assert_close(state, after)


def test_lengths_and_dropout_hold_for_every_input(given):
    (params, state, inputs), _ = given
    lengths = np.array([4, TIME])
    garbage = {name: array.copy() for name, array in inputs.items()}
    garbage["symbols"][4:, 0], garbage["speaker"][4:, 0] = 99, np.nan
    dropped = {"dropout": Dropout(0.5), "dropout_key": jax.random.key(0)}
    with jax.enable_x64(True):
        run = partial(unroll, SEVERAL, params, state, **dropped)
        assert_close(run(garbage, lengths=lengths), run(inputs, lengths=lengths))
        whole = run(inputs)[0]
        assert_close(run(inputs, lengths=lengths)[0]["value"][:4], whole["value"][:4])


def test_json_and_table_name_every_input_and_output():
    assert Network.from_json(SEVERAL.to_json()) == SEVERAL
    table = str(SEVERAL).splitlines()
    assert [line.split()[:2] for line in table[2:4]] == [["symbols", "3"], ["speaker", "2"]]
    assert table[-1] == "returns output, value"
    assert Network({"input": 5}, JOINED.layers, JOINED.connections) == JOINED


HEARD = [("symbols", "h"), ("speaker", "h"), ("h", "output"), ("h", "value")]


@pytest.mark.parametrize(
    ("sizes", "edges", "outputs", "message"),
    [
        ({}, HEARD, ["output"], r"the network has no input; give at least one"),
        (SIZES, HEARD[1:], ["output"], r"no layer hears the input 'symbols'"),
        (SIZES | {"h": 3}, HEARD, ["output"], r"2 layers are called 'h'.*network's input"),
        (SIZES | {"speaker": 0}, HEARD, ["output"], r"the input 'speaker' has size 0"),
        (SIZES, HEARD, [], r"the network has no output"),
        (SIZES, HEARD, ["output", "ghost"], r"no layer is called 'ghost'.* or name others"),
        (SIZES, HEARD, ["value", "value"], r"output 'value' is named 2 times"),
        (SIZES, [*HEARD, ("h", "speaker", 1)], ["output"], r"leads into the input"),
        (SIZES, HEARD, "output", r"outputs are 'output'; give a list"),
    ],
)
def test_inputs_and_outputs_that_there_cannot_be_are_refused(sizes, edges, outputs, message):
    with pytest.raises(InputError, match=message):
        Network(sizes, LAYERS, edges, outputs=outputs)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (lambda x: x["speaker"], r"inputs are an array; give arrays by name: symbols, speaker"),
        (lambda x: {"symbols": x["symbols"]}, r"inputs are symbols; give arrays by name"),
        (lambda x: x | {"speaker": x["speaker"][..., :1]}, r"inputs 'speaker' have the shape"),
        (lambda x: x | {"speaker": x["speaker"][1:]}, r"have \[6, 2\] and \[5, 2\] as \[time"),
        (lambda x: x | {"symbols": x["symbols"] + 9}, r"inputs 'symbols' hold"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_by_name(given, changed, message):
    (params, state, inputs), _ = given
    with jax.enable_x64(True), pytest.raises(InputError, match=message):
        unroll(SEVERAL, params, state, changed(inputs))


def test_one_array_is_not_given_by_name(given):
    _, (params, state, inputs) = given
    with jax.enable_x64(True), pytest.raises(InputError, match=r"given by name, but the network"):
        unroll(JOINED, params, state, {"input": inputs})

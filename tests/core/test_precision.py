"""Which precision products and sums have, and which types go together."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import (
    Connection,
    InputError,
    Layer,
    Network,
    Options,
    init,
    initial_state,
    stacked,
    state_dtype,
    unroll,
)
from jaxrnn.learning.loss import cross_entropy
from tests.networks import equations, made

HALF = jnp.bfloat16
SYMBOLS = 79
# A network with every kind of product: from symbols, late ones too; between layers; in loops.
MIXED = Network(
    5,
    [Layer("low", 4, "lstm"), Layer("high", 3, "gru"), Layer("far", 3, "tanh"),
     Layer("linear", 3, "rg_lru"), Layer("output", 5, "linear")],
    [Connection("input", "low"), Connection("input", "low", 2), Connection("low", "low", 1),
     Connection("low", "high"), Connection("high", "low", 1), Connection("high", "far"),
     Connection("far", "far", 3), Connection("far", "linear"), Connection("linear", "output"),
     Connection("low", "output", 4)],
)  # fmt: skip


def text_like(time: int, batch: int) -> jax.Array:
    """Symbols as frequent as those of a text (Zipf's law)."""
    weights = 1 / np.arange(1, SYMBOLS + 1) ** 1.2
    drawn = np.random.default_rng(0).choice(SYMBOLS, size=(time, batch), p=weights / weights.sum())
    return jnp.asarray(drawn)


def relative_errors(network: Network, time: int, batch: int, options: Options) -> dict[str, float]:
    """Of every array of a bfloat16 gradient, against float32's."""
    params, state = init(network, jax.random.key(0)), initial_state(network, batch)
    symbols = text_like(time + 1, batch)

    def loss(params, options=Options()):  # noqa: B008
        logits, _ = unroll(network, params, state, symbols[:-1], options=options)
        return cross_entropy(logits, symbols[1:]).mean()

    exact = jax.jit(jax.grad(loss))(params)
    rounded = jax.jit(jax.grad(partial(loss, options=options)))(params)
    return {
        f"{layer}/{name}": float(
            np.linalg.norm(rounded[layer][name] - array) / np.linalg.norm(array)
        )
        for layer, arrays in exact.items()
        for name, array in arrays.items()
    }


@pytest.mark.parametrize(
    ("cell", "segment"), [("tanh", None), ("lstm", None), ("gru", 16), ("rg_lru", None)]
)
def test_a_bfloat16_gradient_is_float32_s_within_two_percent_where_many_steps_add_up(cell, segment):
    """32,768 symbols, of which the most frequent one is a quarter: added up in bfloat16, 256."""
    errors = relative_errors(stacked(SYMBOLS, [16], SYMBOLS, cell), 64, 512, Options(HALF, segment))
    assert max(errors.values()) < 0.02, errors


def test_parameters_in_half_precision_get_gradients_that_were_added_up_in_float32():
    """4,096 ones, as a row's gradient and as a bias's."""
    network = Network(2, [Layer("output", 1, "linear")], [Connection("input", "output")])
    params = {"output": {"bias": jnp.zeros(1, HALF), "input@0": jnp.zeros((2, 1), HALF)}}
    symbols = jnp.zeros((64, 64), int)
    for segment in (None, 8):
        run = partial(unroll, network, inputs=symbols, options=Options(segment=segment))
        gradient = jax.grad(lambda p, run=run: run(p, {})[0].sum())(params)["output"]
        assert gradient["input@0"].dtype == HALF
        assert gradient["input@0"][:, 0].tolist() == [4096, 0]
        assert gradient["bias"].tolist() == [4096]


@pytest.mark.parametrize("segment", [0, 2])
@pytest.mark.parametrize("symbols", [False, True])
def test_both_operands_of_every_product_have_the_chosen_type_and_every_sum_is_float32(
    symbols, segment
):
    params, state = made(MIXED)
    inputs = jnp.zeros((6, 2), int) if symbols else jnp.zeros((6, 2, 5))
    resets = jnp.zeros((6, 2), bool)

    def loss(params, state):
        outputs, state = unroll(
            MIXED, params, state, inputs, resets=resets, options=Options(HALF, segment)
        )
        return outputs.sum() + sum(x.sum() for x in jax.tree.leaves(state))

    found = list(equations(jax.make_jaxpr(jax.grad(loss, argnums=(0, 1)))(params, state)))
    products = [e for e in found if e.primitive.name == "dot_general"]
    assert len(products) > 20
    for product in products:
        assert [v.aval.dtype for v in product.invars] == [HALF, HALF], product
        assert product.outvars[0].aval.dtype == jnp.float32, product
    adding = ("add", "add_any", "reduce_sum", "scatter-add", "scatter_add", "cumsum")
    sums = [e for e in found if e.primitive.name in adding]
    assert sums
    for equation in sums:
        assert equation.outvars[0].aval.dtype != HALF, equation
    loops = [e for e in found if e.primitive.name == "scan"]
    assert loops
    for loop in loops:  # what is carried is added to as well
        kept = loop.params["num_consts"], loop.params["num_carry"]
        carried = loop.invars[kept[0] : kept[0] + kept[1]]
        assert not [v for v in carried if v.aval.dtype == HALF], loop


def test_products_are_rounded_and_nothing_else():
    """Of two layers that copy: what goes through a product, and a row that is looked up."""
    edges = [Connection("input", "copy"), Connection("copy", "output")]
    network = Network(1, [Layer("copy", 1, "linear"), Layer("output", 1, "linear")], edges)
    fine = 1 + 2.0**-12  # that is 1 in bfloat16
    params = {
        "copy": {"bias": jnp.zeros(1), "input@0": jnp.full((1, 1), fine)},
        "output": {"bias": jnp.full(1, fine), "copy@0": jnp.ones((1, 1))},
    }
    run = partial(unroll, network, params, {}, jnp.zeros((1, 1), int))
    assert run()[0].item() == 2 * fine
    assert run(options=Options(HALF))[0].item() == 1 + fine


@pytest.mark.parametrize("dtype", [jnp.float64, HALF])
def test_outputs_and_state_have_the_precision_that_state_dtype_tells(dtype):
    with jax.enable_x64(True):
        params = init(MIXED, jax.random.key(0), dtype=dtype)
        kind = state_dtype(params)
        assert kind == (dtype if dtype in (jnp.float32, jnp.float64) else jnp.float32)
        state = initial_state(MIXED, 2, kind)
        for inputs in (jnp.zeros((3, 2), int), jnp.ones((3, 2, 5), HALF), jnp.ones((3, 2, 5))):
            run = jax.jit(partial(unroll, MIXED))
            outputs, after = run(params, state, inputs)
            assert {x.dtype for x in jax.tree.leaves((outputs, after))} == {kind}
            run(params, after, inputs)


@pytest.mark.parametrize(
    ("params_dtype", "state_type"),
    [(jnp.float32, HALF), (jnp.float64, jnp.float32), (HALF, HALF), (jnp.float32, jnp.float64)],
)
@pytest.mark.parametrize("cell", ["tanh", "gru", "lstm", "min_gru"])
def test_a_state_of_another_precision_is_refused(cell, params_dtype, state_type):
    network = stacked(3, [2], 3, cell)
    with jax.enable_x64(True):
        params = init(network, jax.random.key(0), dtype=params_dtype)
        state = initial_state(network, 2, state_type)
        sentence = r"the state's .*hidden1.* is \w+ where \w+ is expected.*initial_state"
        with pytest.raises(InputError, match=sentence):
            unroll(network, params, state, jnp.zeros((1, 2), int))


def test_parameters_of_several_types_are_refused():
    params, state = made(MIXED)
    params["low"]["bias"] = params["low"]["bias"].astype(HALF)
    with pytest.raises(InputError, match=r"several types \(bfloat16, float32\).*compute_dtype"):
        unroll(MIXED, params, state, jnp.zeros((1, 2), int))


@pytest.mark.parametrize("dtype", [jnp.float64, jnp.int8, "float64"])
def test_products_finer_than_the_parameters_or_of_whole_numbers_are_refused(dtype):
    params, state = made(MIXED)
    with pytest.raises(InputError, match=r"compute_dtype is .*float32 or a smaller"):
        unroll(MIXED, params, state, jnp.zeros((1, 2), int), options=Options(dtype))

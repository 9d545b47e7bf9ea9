"""What may be given to the engine: any array library's arrays, any symbols, any length of time."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from jaxrnn import (
    Connection,
    Dropout,
    InputError,
    Layer,
    Network,
    Options,
    initial_state,
    stacked,
    step,
    unroll,
    unroll_layers,
)
from tests.networks import made
from tests.reference import assert_close

SIZE = 5
# Everything that keeps a past: cells of all kinds, delays of all kinds, from the input too.
MIXED = Network(
    SIZE,
    [Layer("low", 4, "tanh"), Layer("mid", 3, "gru"), Layer("high", 3, "lstm"),
     Layer("far", 3, "rg_lru"), Layer("output", SIZE, "linear")],
    [Connection("input", "low"), Connection("input", "low", 3), Connection("low", "low", 2),
     Connection("low", "low", 5), Connection("low", "mid"), Connection("mid", "high"),
     Connection("high", "mid", 1), Connection("high", "high", 4), Connection("high", "far"),
     Connection("far", "output"), Connection("low", "output", 1)],
)  # fmt: skip
SMALL = stacked(SIZE, [3], SIZE, "gru")
RNG = np.random.default_rng(0)
SYMBOLS = RNG.integers(SIZE, size=(6, 3)).astype(np.int32)
FEATURES = RNG.normal(size=(6, 3, SIZE)).astype(np.float32)
INPUTS = pytest.mark.parametrize("inputs", [SYMBOLS, FEATURES], ids=["symbols", "features"])


@INPUTS
def test_numpy_parameters_and_lists_are_as_good_as_jax_s_arrays(inputs):
    params, state = made(SMALL, 3)
    expected = jax.jit(partial(unroll, SMALL))(params, state, inputs)
    plain = jax.tree.map(np.asarray, params), jax.tree.map(np.asarray, state)
    given = inputs.tolist()
    assert_close(unroll(SMALL, *plain, inputs), expected, 1e-5)
    assert_close(unroll(SMALL, *plain, given), expected, 1e-5)
    assert_close(unroll_layers(SMALL, *plain, given).outputs["output"], expected[0], 1e-5)
    assert_close(step(SMALL, *plain, given[0])[0], expected[0][0], 1e-5)


@INPUTS
def test_numpy_parameters_can_be_closed_over_by_what_is_traced(inputs):
    params, state = made(SMALL, 3)
    expected, _ = jax.jit(partial(unroll, SMALL))(params, state, inputs)
    plain = jax.tree.map(np.asarray, params)
    assert_close(jax.jit(lambda x: unroll(SMALL, plain, state, x)[0])(inputs), expected, 1e-5)

    def body(state, x):
        outputs, state = step(SMALL, plain, state, x)
        return state, outputs

    assert_close(jax.lax.scan(body, state, jnp.asarray(inputs))[1], expected, 1e-5)
    long = np.concatenate([inputs] * 171)  # in segments
    assert jax.eval_shape(lambda: unroll(SMALL, plain, state, long)[0]).shape == (1026, 3, SIZE)
    assert unroll(SMALL, plain, state, long)[0].shape == (1026, 3, SIZE)


@pytest.mark.parametrize(("symbol", "rate"), [(-1, 0.0), (-SIZE, 0.5), (SIZE, 0.5), (1000, 0.0)])
def test_a_symbol_that_there_is_not_makes_its_lane_nan_until_a_reset(symbol, rate):
    params, state = made(MIXED, 3)
    symbols = jnp.asarray(SYMBOLS).at[1, 1].set(symbol)
    resets = jnp.zeros((6, 3), bool).at[4, 1].set(True)
    options = {"dropout": Dropout(rate), "dropout_key": jax.random.key(0), "resets": resets}
    run = jax.jit(partial(unroll, MIXED, **options))
    clean, _ = run(params, state, jnp.asarray(SYMBOLS))
    outputs, final = run(params, state, symbols)
    bad = np.zeros((6, 3), bool)
    bad[1:4, 1] = True
    np.testing.assert_array_equal(np.isnan(outputs).all(axis=-1), bad)
    np.testing.assert_allclose(outputs[~bad], clean[~bad], rtol=1e-6)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(final))


@pytest.mark.parametrize("symbol", [-1, SIZE])
def test_a_chunk_with_such_a_symbol_is_the_same_chunk_cut_in_two(symbol):
    params, state = made(MIXED, 3)
    symbols = jnp.asarray(SYMBOLS).at[1, 1].set(symbol)

    @jax.jit
    def both(params, state):
        whole = unroll(MIXED, params, state, symbols)
        first, middle = unroll(MIXED, params, state, symbols[:2])
        second, last = unroll(MIXED, params, middle, symbols[2:])
        return whole, (jnp.concatenate([first, second]), last)

    whole, parts = both(params, state)
    assert_close(parts, whole, 1e-5)
    assert np.isnan(whole[0][1:, 1]).all()


@pytest.mark.parametrize("symbol", [-1, SIZE])
@pytest.mark.parametrize("kind", [list, np.asarray])
def test_a_symbol_that_there_is_not_is_refused_where_it_is_known(symbol, kind):
    params, state = made(MIXED, 1)
    with pytest.raises(InputError, match=rf"inputs hold {symbol}, .* 0 to {SIZE - 1}"):
        unroll(MIXED, params, state, kind([[0], [symbol]]))
    with pytest.raises(InputError, match=rf"inputs hold {symbol}, .* 0 to {SIZE - 1}"):
        step(MIXED, params, state, kind([symbol]))


@INPUTS
@pytest.mark.parametrize(
    "options",
    [
        {}, {"resets": jnp.zeros((0, 3), bool)}, {"options": Options(segment=2)},
        {"options": Options(stepwise=True)}, {"options": Options(plain_autodiff=True)},
        {"dropout": Dropout(0.5), "dropout_key": jax.random.key(0)},
    ],
    ids=lambda options: "-".join(options) or "plain",
)  # fmt: skip
def test_a_chunk_without_a_time_step_puts_out_nothing_and_leaves_the_state(inputs, options):
    params, state = made(MIXED, 3)
    run = partial(unroll, MIXED, inputs=jnp.asarray(inputs[:0]), **options)
    outputs, after = run(params, state)
    assert (outputs.shape, outputs.dtype) == ((0, 3, SIZE), jnp.float32)
    assert_close(after, state, 0)
    gradient = jax.grad(lambda p: run(p, state)[0].sum())(params)
    assert not any(np.any(x) for x in jax.tree.leaves(gradient))


@INPUTS
@pytest.mark.parametrize(
    "options",
    [
        {"reset_state": initial_state(MIXED, 1)}, {"lengths": np.zeros(0, int)},
        {"options": Options(segment=4)},
        {"options": Options(stepwise=True)}, {"options": Options(plain_autodiff=True)},
        {"dropout": Dropout(0.5, locked=True), "dropout_key": jax.random.key(0)},
    ],
    ids=lambda options: "-".join(options) or "plain",
)  # fmt: skip
def test_a_chunk_without_a_lane_puts_out_nothing(inputs, options):
    params, state = made(MIXED, 0)
    given = {"inputs": jnp.asarray(inputs[:, :0]), "resets": jnp.zeros((6, 0), bool)}

    @jax.jit
    def run(params):
        run = partial(unroll, MIXED, state=state, **given, **options)
        (outputs, after), pull = jax.vjp(run, params)
        return outputs, after, pull((outputs, after))

    outputs, after, (gradient,) = run(params)
    assert outputs.shape == (6, 0, SIZE)
    assert_close(after, state, 0)
    assert not any(np.any(x) for x in jax.tree.leaves(gradient))


def _traced(rate):
    return lambda run: jax.jit(lambda rate: run(dropout=Dropout(rate)))(rate)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"inputs": None}, r"inputs are None; give an array of numbers"),
        ({"inputs": "abc"}, r"inputs are 'abc'; give an array of numbers"),
        ({"inputs": [["a"]]}, r"inputs are \[\['a'\]\]; give an array of numbers"),
        ({"inputs": [[0, 1], [2]]}, r"inputs are \[\[0, 1\], \[2\]\]; give an array of numbers"),
        ({"inputs": 3, "lengths": 3}, r"inputs have the shape \[\]"),
        ({"lengths": [[1], [1, 2]]}, r"lengths are \[\[1\], \[1, 2\]\]; give an array"),
        ({"lengths": 3}, r"lengths have the shape \[\]"),
        ({"resets": [[True], [True, False]]}, r"resets are \[\[True\], .*; give an array"),
        ({"resets": "yes"}, r"resets are 'yes'; give an array"),
        ({"dropout": 0.3}, r"dropout is 0.3; give Dropout\(rate\)"),
        ({"dropout": [Dropout(0.3)]}, r"dropout is \[Dropout.*; give Dropout\(rate\)"),
        ({"dropout": {("input", "hidden1"): 0.2}}, r"dropout is 0.2; give Dropout\(rate\)"),
        ({"dropout": Dropout("a")}, r"dropout rate is 'a'; it must be a number"),
        ({"dropout": Dropout(None)}, r"dropout rate is None; it must be a number"),
        ({"dropout": Dropout([0.1, 0.2])}, r"dropout rate is \[0.1, 0.2\]; it must be a number"),
        ({"dropout": Dropout(np.ones(2) / 3)}, r"dropout rate is array.*; it must be a number"),
        (_traced(0), r"dropout rate is traced as int32\[\]; it must be one floating-point"),
        (_traced(np.ones(2) / 3), r"dropout rate is traced as float32\[2\]; it must be one"),
        ({"dropout": Dropout(0.3), "dropout_key": 3}, r"dropout_key is 3; give one key"),
        ({"dropout_key": jax.random.split(jax.random.key(0))}, r"dropout_key is .*; give one key"),
        ({"options": None}, r"options are None; give Options"),
        ({"options": {"segment": 2}}, r"options are {'segment': 2}; give Options"),
        ({"params": None}, r"parameters do not fit the network"),
        ({"state": "zeros"}, r"state does not fit the network"),
    ],
)  # fmt: skip
def test_what_is_no_argument_of_unroll_is_refused_in_one_sentence(given, message):
    params, state = made(SMALL, 3)
    defaults = {"params": params, "state": state, "inputs": SYMBOLS}

    def run(**given):
        return unroll(SMALL, **defaults | given)

    with pytest.raises(InputError, match=message) as refusal:
        given(run) if callable(given) else run(**given)
    assert "\n" not in str(refusal.value)


@pytest.mark.usefixtures("unchecked")
def test_a_step_takes_lists_and_refuses_what_is_no_array():
    params, state = made(SMALL, 3)
    resets = [True, False, True]
    expected = step(SMALL, params, state, SYMBOLS[0], resets=jnp.array(resets))
    assert_close(step(SMALL, params, state, SYMBOLS[0], resets=resets), expected, 0)
    for wrong in (None, "abc", [[0], [1, 2]]):
        with pytest.raises(InputError, match=r"inputs are .*; give an array of numbers"):
            step(SMALL, params, state, wrong)
    with pytest.raises(InputError, match=r"resets are 'abc'; give an array of numbers"):
        step(SMALL, params, state, SYMBOLS[0], resets="abc")


@INPUTS
@pytest.mark.parametrize(
    "options",
    [
        {}, {"options": Options(stepwise=True)}, {"options": Options(plain_autodiff=True)},
        {"options": Options("bfloat16")}, {"options": Options(segment=2)},
        {"dropout": Dropout(0.3, recurrent=True), "dropout_key": jax.random.key(0)},
        {"dropout": Dropout(0.3, locked=True, recurrent=True), "dropout_key": jax.random.key(0)},
    ],
    ids=lambda options: "-".join(options) or "plain",
)  # fmt: skip
def test_no_type_and_no_axis_is_promoted_behind_the_user_s_back(inputs, options):
    params, state = made(MIXED, 3)
    resets = jnp.zeros((6, 3), bool)
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        run = partial(unroll, MIXED, inputs=jnp.asarray(inputs), resets=resets, **options)
        jax.eval_shape(jax.grad(lambda p: run(p, state)[0].sum()), params)


@pytest.mark.parametrize(
    ("network", "inputs"), [(MIXED, SYMBOLS), (stacked(SIZE, [3], SIZE, "min_gru"), FEATURES)],
    ids=["symbols", "features"],
)  # fmt: skip
def test_a_network_can_be_exported_for_chunks_of_any_length(network, inputs):
    params, state = made(network, 3)
    time, *_ = export.symbolic_shape("time")
    shape = jax.ShapeDtypeStruct((time, *inputs.shape[1:]), inputs.dtype)
    resets = jax.ShapeDtypeStruct((time, 3), bool)

    def run(params, state, inputs, resets):
        return unroll(network, params, state, inputs, resets=resets)

    program = export.export(jax.jit(run))(params, state, shape, resets)
    restored = export.deserialize(program.serialize())
    for length in (1, 2, 6):
        given = params, state, jnp.asarray(inputs[:length]), jnp.zeros((length, 3), bool)
        assert_close(restored.call(*given), run(*given), 1e-5)


def test_a_chunk_of_any_length_cannot_be_cut_into_segments():
    params, state = made(MIXED, 3)
    time, *_ = export.symbolic_shape("time")
    run = jax.jit(lambda x: unroll(MIXED, params, state, x, options=Options(segment=2)))
    with pytest.raises(InputError, match="a chunk of time steps cannot be cut into segments of 2"):
        export.export(run)(jax.ShapeDtypeStruct((time, 3), jnp.int32))


@INPUTS
@pytest.mark.parametrize("options", [Options(), Options(plain_autodiff=True, stepwise=True)])
def test_a_reset_forgets_a_state_that_is_not_finite_in_values_and_gradients(inputs, options):
    params, state = made(MIXED, 3)
    resets = jnp.zeros((6, 3), bool).at[0, 1].set(True)
    bad = jax.tree.map(
        lambda x: x.at[1].set(jnp.array([jnp.nan, jnp.inf, 1])[x.shape[1] % 2]), state
    )
    run = partial(unroll, MIXED, inputs=jnp.asarray(inputs), resets=resets, options=options)

    @jax.jit
    def both(params, state):
        def loss(params, state):
            outputs, after = run(params, state)
            return jnp.sum(outputs**2) + sum(map(jnp.sum, jax.tree.leaves(after)))

        return run(params, state), jax.grad(loss, argnums=(0, 1))(params, state)

    assert_close(both(params, bad), both(params, state), 1e-5)


@pytest.mark.parametrize("cell", ["tanh", "gru", "lstm", "min_gru", "min_lstm", "rg_lru"])
def test_after_a_reset_a_lane_recovers_from_an_infinite_input(cell):
    network = stacked(1, [3], 1, cell)
    params, state = made(network, 1)
    inputs = jnp.array([1, jnp.inf, 1, 1, 1, 1])[:, None, None]
    resets = jnp.zeros((6, 1), bool).at[3].set(True)
    outputs, _ = unroll(network, params, state, inputs, resets=resets)
    alone, _ = unroll(network, params, initial_state(network, 1), inputs[3:], resets=resets[3:])
    assert_close(outputs[3:], alone, 1e-6)

# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A cell of your own
#
# A *cell* is what a unit does in one time step with what it hears. tanh units, LSTM, GRU: people
# have invented many, and inventing one more takes five lines here. You write down what happens
# going forward in one step; loops, batches and gradients come for free.
#
# We make a cell with a single gate, train it on a task that needs memory, compare it with cells
# that are built in, and then change one thing so that it needs no loop over time at all.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

from jaxrnn import (
    CELLS,
    Cell,
    Connection,
    Layer,
    Network,
    Options,
    init,
    initial_state,
    linear_cell,
    register,
    stacked,
    unroll,
)

# %% tags=["parameters"]
UNITS, STEPS = 16, 400

# %% [markdown]
# ## The cell
#
# Our unit holds a value. Its gate $f$, between 0 and 1, says how much of the old value it keeps;
# the rest is made up by a new candidate:
#
# $$v_t = f_t\, v_{t-1} + (1 - f_t) \tanh(g_t), \qquad f_t = \sigma(s_t)$$
#
# What comes in from connections are the two **sums**, $s$ and $g$: so the cell has two gates, and
# every matrix that leads to the layer is twice as wide as the layer. What goes from step to step
# inside the cell is its **carry**. A cell is elementwise: units hear each other through
# connections, never inside the cell.


# %%
def keeper(sums, carry):
    keep, candidate = sums
    (value,) = carry
    keep = jax.nn.sigmoid(keep)
    value = keep * value + (1 - keep) * jnp.tanh(candidate)
    return value, (value,)  # what others hear, and what goes to the next step


register(Cell("keeper", keeper, gates=2, carries=1, biases=(1.0, 0.0)))
print(", ".join(CELLS))

# %% [markdown]
# The biases are where training starts: with 1 the gate is rather open, so that the unit remembers
# before it has learned to (Gers, Schmidhuber and Cummins did that for LSTM in 2000).
#
# From now on `keeper` is a cell like any other:

# %%
network = stacked(2, [UNITS], 1, "keeper")
print(network)

# %% [markdown]
# Nobody wrote down a derivative. Does `jax.grad` get through? jaxrnn has a rule of its own for
# back-propagation through time; `Options(plain_autodiff=True)` does without it, by plain automatic
# differentiation. Both should say the same.


# %%
def some_loss(params, options):
    inputs = jax.random.normal(jax.random.key(1), (30, 4, 2))
    outputs, _ = unroll(network, params, initial_state(network, 4), inputs, options=options)
    return jnp.square(outputs).mean()


params = init(network, jax.random.key(0))
ways = (Options(), Options(plain_autodiff=True))
one, other = (jax.grad(some_loss)(params, options) for options in ways)
differences = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), one, other)
print("largest difference:", max(jax.tree.leaves(differences)))
assert max(jax.tree.leaves(differences)) < 1e-6

# %% [markdown]
# ## Something to remember
#
# The input has two features: a number, and a flag that says whether it counts. One step in twenty
# the flag is 1; at all others the number is noise. The network has to say at each step the last
# number that counted. To do so it must hold on to it while noise comes in, and let go of it when
# the next one comes.

# %%
TIME, BATCH = 50, 32


def draw(key):
    flag_key, number_key = jax.random.split(key)
    flags = jax.random.bernoulli(flag_key, 0.05, (TIME, BATCH)).at[0].set(True)
    numbers = jax.random.uniform(number_key, (TIME, BATCH), minval=-1, maxval=1)

    def hold(held, now):
        flag, number = now
        held = jnp.where(flag, number, held)
        return held, held

    _, targets = jax.lax.scan(hold, numbers[0], (flags, numbers))
    return jnp.stack([flags, numbers], axis=-1), targets[..., None]


def show(inputs, targets, outputs=None):
    _, axes = plt.subplots(figsize=(7, 2.2))
    flags, numbers = inputs[:, 0].T
    axes.plot(numbers, ".", color="#9db4c8", label="noise")
    axes.plot(np.flatnonzero(flags), numbers[flags > 0], "o", color="#4a6a8a", label="it counts")
    axes.step(range(TIME), targets[:, 0, 0], where="post", color="#b4442a", label="what to say")
    if outputs is not None:
        axes.plot(outputs[:, 0, 0], ".-", color="#5c8a64", label="what it says")
    axes.set(xlabel="time step")
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))


inputs, targets = draw(jax.random.key(5))
show(inputs, targets)

# %% [markdown]
# A training loop in a few lines of [optax](https://optax.readthedocs.io). A learning rate that
# suits one cell may not suit another, so each cell is trained at three of them and the best counts.
# All is compiled to one program; every step draws new sequences, so there is nothing to learn by
# heart.


# %%
def train(network, seed=0):
    """The loss at each step and the parameters at the end, at the best of three rates."""

    def loss(params, key):
        inputs, targets = draw(key)
        outputs, _ = unroll(network, params, initial_state(network, BATCH), inputs)
        return jnp.square(outputs - targets).mean()

    def run(rate):
        optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))
        init_key, data_key = jax.random.split(jax.random.key(seed))
        params = init(network, init_key)

        def update(carry, key):
            params, optimizer_state = carry
            value, gradient = jax.value_and_grad(loss)(params, key)
            updates, optimizer_state = optimizer.update(gradient, optimizer_state)
            return (optax.apply_updates(params, updates), optimizer_state), value

        keys = jax.random.split(data_key, STEPS)
        (params, _), losses = jax.lax.scan(update, (params, optimizer.init(params)), keys)
        return losses, params

    rates = jnp.array([3e-3, 1e-2, 3e-2])
    losses, params = jax.jit(lambda: jax.lax.map(run, rates))()
    best = int(losses[:, -20:].mean(axis=1).argmin())
    return np.asarray(losses[best]), jax.tree.map(lambda x: x[best], params)


# %% [markdown]
# ## Against the others
#
# All get the same number of units and of steps. (One seed each: enough to see that our cell works,
# too little to call a winner. `python -m experiments.cells` compares with more care.)

# %%
curves = {}
for cell in ("tanh", "gru", "keeper"):
    curves[cell], _ = train(stacked(2, [UNITS], 1, cell))
    print(f"{cell:7} mean squared error at the end {curves[cell][-20:].mean():.4f}")

# %%
colors = {"tanh": "#4a6a8a", "gru": "#5c8a64", "keeper": "#b4442a", "free_keeper": "#d9b44a"}


def draw_curves():
    _, axes = plt.subplots(figsize=(7, 3.2))
    for cell, losses in curves.items():
        smooth = losses[: len(losses) // 10 * 10].reshape(-1, 10).mean(axis=1)
        axes.semilogy(10 * np.arange(len(smooth)), smooth, color=colors[cell], label=cell)
    axes.set(xlabel="training steps", ylabel="mean squared error")
    axes.legend(frameon=False)
    axes.grid(alpha=0.25)


draw_curves()

# %% [markdown]
# A third is the error of a network that always says 0, since that is the mean square of a number
# between -1 and 1.
#
# ## Without a loop
#
# In our network the gate hears the layer's own past, along the recurrent connection. So step $t$
# cannot begin before step $t-1$ is done, and on a machine that could do thousands of things at
# once, most wait.
#
# But look at the cell again. If gate and candidate depend on the *input* alone, then over time it
# is nothing but
#
# $$v_t = a_t\, v_{t-1} + u_t$$
#
# where all $a_t$ and $u_t$ are known before the loop begins. That is **linear** in the carry, and
# such a thing is a kind of cumulative sum: it can be computed for all time steps at once (Martin
# and Cundy 2018; recent minGRU, RG-LRU and Mamba live by it). Tell jaxrnn that the cell is linear
# by giving $a$ and $u$, and leave the recurrent connection out. `stacked` does that by itself for
# such a cell.


# %%
def free_keeper(sums):
    keep, candidate = sums
    keep = jax.nn.sigmoid(keep)
    return keep, (1 - keep) * jnp.tanh(candidate)  # a and u


register(linear_cell("free_keeper", free_keeper, gates=2, biases=(1.0, 0.0)))
free = stacked(2, [UNITS], 1, "free_keeper")
print(free)

# %% [markdown]
# Is it the same cell? Build the network without the recurrent connection from `keeper`, which is
# stepped, and compare with the one that is not.

# %%
stepped = Network(
    2,
    [Layer("hidden1", UNITS, "keeper"), Layer("output", 1, "linear")],
    [Connection("input", "hidden1"), Connection("hidden1", "output")],
)
params = init(free, jax.random.key(0))
all_at_once, _ = unroll(free, params, initial_state(free, BATCH), inputs)
one_by_one, _ = unroll(stepped, params, initial_state(stepped, BATCH), inputs)
print("largest difference:", float(jnp.abs(all_at_once - one_by_one).max()))
assert np.allclose(all_at_once, one_by_one, atol=1e-5)

# %% [markdown]
# It has lost something: a unit cannot look at what others hold when it decides what to keep. For
# this task it need not, since the flag alone says when something new comes.

# %%
curves["free_keeper"], trained = train(free)
print(f"mean squared error at the end {curves['free_keeper'][-20:].mean():.4f}")
draw_curves()

# %% [markdown]
# How does it answer?

# %%
outputs, _ = unroll(free, trained, initial_state(free, BATCH), inputs)
show(inputs, targets, outputs)

# %% [markdown]
# Registered cells are known to everything else: `Layer("memory", 64, "keeper")` in a network with
# feedback, networks in JSON files, checkpoints (as long as the process that reads them has
# registered the cell).
#
# Try: a cell that sees two steps back, by two carries; a leak that each unit learns for itself
# (`own_gates=1`: a gate that no connection adds to); a task in which the gate has to know what is
# in memory, so that `free_keeper` must fail.

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
# # How back-propagation through time works
#
# A recurrent network hears its own past. How do you train such a thing, if the way from a weight to
# the loss goes around in circles? The answer is short: **unroll** it. Seen over time there is no
# circle; there is a deep feed-forward network, with one layer for each time step, in which all
# layers share their weights. Back-propagation works as always.
#
# In practice that is three steps:
#
# 1. **Unroll**: run forward through the chunk, and keep the output of every layer at every time
#    step.
# 2. **Deltas backward**: from the last time step to the first, find how the loss depends on what
#    each unit *heard* at each time step. That number is the unit's delta.
# 3. **One gradient matrix per connection**: what the source said, times the target's delta, added
#    up over time.
#
# We do it by hand in NumPy, and then ask `jax.grad` to do the same. Both are to agree to the last
# digits, so everything is computed in float64.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from jaxrnn import init, initial_state, stacked, unroll

jax.config.update("jax_enable_x64", True)

# %% [markdown]
# ## The network
#
# One hidden layer of tanh units that hears the input now and itself one step ago, and a linear
# output layer:
#
# $$a_t = x_t W_{x} + h_{t-1} W_{h} + b, \qquad h_t = \tanh(a_t), \qquad y_t = h_t V + c$$
#
# The loss is half the squared difference between $y_t$ and a target, added up over 12 time steps.
# To keep an eye on the essentials there is one sequence, not a batch of them.

# %%
TIME, INPUTS, HIDDEN, OUTPUTS = 12, 3, 5, 2
network = stacked(INPUTS, [HIDDEN], OUTPUTS, "tanh")
params = init(network, jax.random.key(0), dtype=jnp.float64)
print(network)

# %%
W_x = np.array(params["hidden1"]["input@0"])  # a connection's matrix is called source@delay
W_h = np.array(params["hidden1"]["hidden1@1"])
b = np.array(params["hidden1"]["bias"])
V = np.array(params["output"]["hidden1@0"])
c = np.array(params["output"]["bias"])

random = np.random.default_rng(0)
x = random.normal(size=(TIME, INPUTS))
target = random.normal(size=(TIME, OUTPUTS))

# %% [markdown]
# ## Step 1: unroll
#
# A loop over time. What we keep, `h`, is what the backward pass will need.

# %%
h = np.zeros((TIME + 1, HIDDEN))  # h[-1], the last row, stands for the time before the first step
y = np.zeros((TIME, OUTPUTS))
for t in range(TIME):
    h[t] = np.tanh(x[t] @ W_x + h[t - 1] @ W_h + b)
    y[t] = h[t] @ V + c

loss = 0.5 * np.square(y - target).sum()
print(f"loss {loss:.6f}")

# %% [markdown]
# (`h[t - 1]` at `t = 0` is `h[-1]`: in NumPy the last row, which we left at zero. The loop fills
# the others only.)
#
# ## Step 2: deltas backward
#
# The output's delta is easy, as the loss looks straight at it:
#
# $$\epsilon_t = y_t - \text{target}_t$$
#
# A hidden unit at time $t$ is heard by two: by the output at the same time, and by the hidden layer
# one step *later*. So its share in the loss comes back along both connections, each time through
# the transposed matrix, and then through the slope of tanh, which is $1 - h_t^2$:
#
# $$\delta_t = \left(\epsilon_t V^\top + \delta_{t+1} W_h^\top\right) \odot (1 - h_t^2)$$
#
# Since $\delta_t$ needs $\delta_{t+1}$, this loop runs backward. After the last time step nobody
# listens any more: there it starts with zero.

# %%
epsilon = y - target
delta = np.zeros((TIME + 1, HIDDEN))
for t in reversed(range(TIME)):
    delta[t] = (epsilon[t] @ V.T + delta[t + 1] @ W_h.T) * (1 - h[t] ** 2)

# %% [markdown]
# ## Step 3: one gradient matrix per connection
#
# A weight from unit $i$ to unit $j$ adds $w_{ij}$ times what $i$ said to what $j$ heard. So its
# gradient is what $i$ said times the delta of $j$, and since the same weight is used at each time
# step, we add up over time. For all weights of a connection at once that is a single matrix
# product. For the recurrent connection the source is taken one step earlier: that is its delay.

# %%
before = np.concatenate([np.zeros((1, HIDDEN)), h[: TIME - 1]])  # h, one step late
by_hand = {
    "hidden1": {
        "input@0": x.T @ delta[:TIME],
        "hidden1@1": before.T @ delta[:TIME],
        "bias": delta[:TIME].sum(axis=0),
    },
    "output": {"hidden1@0": h[:TIME].T @ epsilon, "bias": epsilon.sum(axis=0)},
}

# %% [markdown]
# ## The same by `jax.grad`
#
# `unroll` runs the network over the chunk; `jax.grad` goes back through it. Arrays have the time
# first, then the lane of the batch, of which there is one.


# %%
def loss_of(params):
    outputs, _ = unroll(network, params, initial_state(network, 1, jnp.float64), x_lane)
    return 0.5 * jnp.square(outputs - target[:, None]).sum()


x_lane = jnp.array(x)[:, None]
gradient = jax.jit(jax.grad(loss_of))(params)
assert np.isclose(loss, loss_of(params), rtol=1e-12)
for layer, arrays in by_hand.items():
    for name, array in arrays.items():
        difference = np.abs(array - gradient[layer][name]).max()
        print(f"{layer:8} {name:10} {array.shape!s:8} largest difference {difference:.1e}")
        assert difference < 1e-12

# %% [markdown]
# They are equal. By the way, that is how jaxrnn computes it inside: plain automatic differentiation
# would add up each weight gradient in the backward loop, one time step after the other, while
# jaxrnn carries only the deltas backward and then takes one product per connection, as we did.
#
# If you trust neither of the two: change a weight by very little, and see what the loss does.

# %%
nudge = 1e-6
losses = []
for sign in (1, -1):
    nudged = params["hidden1"]["hidden1@1"].at[2, 4].add(sign * nudge)
    losses.append(loss_of(params | {"hidden1": params["hidden1"] | {"hidden1@1": nudged}}))
slope = float(losses[0] - losses[1]) / (2 * nudge)
print(f"measured {slope:.8f}, by hand {by_hand['hidden1']['hidden1@1'][2, 4]:.8f}")
assert np.isclose(slope, by_hand["hidden1"]["hidden1@1"][2, 4], rtol=1e-6)

# %% [markdown]
# ## Why long memories are hard to learn
#
# On its way back by one time step a delta is multiplied by $W_h^\top$ and by the slope of tanh,
# which is at most 1. Fifty steps mean fifty such factors. If they make it a little smaller each
# time, then what happened fifty steps ago gets next to no gradient, however important it was: it
# **vanishes**. If they make it larger, it **explodes**.
#
# Let the loss look at the last time step alone, and follow the delta back, for recurrent matrices
# that are rotations times a number:

# %%
steps, units = 50, 32
rotation = np.linalg.qr(random.normal(size=(units, units)))[0]
noise = 0.1 * random.normal(size=(steps, units))  # what comes from the input: little, so that the
_, axes = plt.subplots(figsize=(7, 3.4))  # units stay where tanh is steep
for scale, color in ((0.8, "#4a6a8a"), (1.0, "#5c8a64"), (1.2, "#d9b44a"), (1.5, "#b4442a")):
    W = scale * rotation
    past = [np.zeros(units)]
    for t in range(steps):
        past.append(np.tanh(past[-1] @ W + noise[t]))
    back = np.ones(units) / np.sqrt(units)
    sizes = []
    for t in reversed(range(steps)):
        back = back * (1 - past[t + 1] ** 2)
        sizes.append(np.linalg.norm(back))
        back = back @ W.T
    axes.semilogy(range(steps), sizes, color=color, label=f"{scale:g} times a rotation")
axes.set(xlabel="steps back in time", ylabel="size of the delta")
axes.legend(frameon=False)
axes.grid(alpha=0.25)

# %% [markdown]
# The gates of LSTM and GRU are an answer to this picture: a unit whose gate says "keep" hands its
# value on times a number next to 1, and its delta comes back times the same number.
#
# ## Truncated back-propagation
#
# A text has millions of characters; nobody unrolls all of it. One cuts it into chunks. The *state*
# is carried from each chunk to the next, so that nothing is forgotten, but *deltas* stop at the
# cut. The forward pass is exactly that of the whole text, and the gradient is not: it lacks what
# would have come back across the cut.


# %%
def loss_in_two(params):
    state, total = initial_state(network, 1, jnp.float64), 0.0
    for chunk in (slice(0, 6), slice(6, 12)):
        outputs, state = unroll(network, params, state, x_lane[chunk])
        total = total + 0.5 * jnp.square(outputs - target[chunk, None]).sum()
        state = jax.lax.stop_gradient(state)  # the cut
    return total


cut = jax.grad(loss_in_two)(params)["hidden1"]["hidden1@1"]
whole = gradient["hidden1"]["hidden1@1"]
assert np.isclose(loss_in_two(params), loss, rtol=1e-12)  # the same loss
print(f"the gradient's size {jnp.linalg.norm(whole):.4f}, what is missing",
      f"{jnp.linalg.norm(whole - cut):.4f}")  # fmt: skip
assert not np.allclose(cut, whole)

# %% [markdown]
# Leave out the line with `stop_gradient` and the two gradients are equal again: a chunk is the same
# as the same chunk cut in two.
#
# Try: add a second hidden layer to the computation by hand (its deltas go *down* to the first layer
# as well); or a connection with delay 2.

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
# # A tour of jaxrnn in fifteen minutes
#
# A recurrent network reads a text one character at a time and guesses the next one. That is all it
# is asked to do, and to do it well it has to learn spelling, the length of a line, who speaks when,
# and what a play looks like. In this notebook we build such a network, run it, take its gradient,
# train it on the plays of Shakespeare for about a minute, let it write, and then open it up and
# look at what its units do.
#
# You need to know a little Python and NumPy. What [JAX](https://docs.jax.dev) does is said where it
# is used.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

from experiments.laboratory.coloured import draw_scale, draw_text
from experiments.laboratory.units import activations, correlations
from jaxrnn import Connection, Layer, Network, init, initial_state, stacked, step, unroll
from jaxrnn.learning.loss import bits_per_character, cross_entropy
from jaxrnn.text import contiguous_lanes, encode_corpus, open_corpus
from jaxrnn.text.language_model import LanguageModel
from jaxrnn.text.sampling import Choice

# %% tags=["parameters"]
UNITS = 128  # of the network's hidden layer
STEPS = 5000  # of training: about a minute on two cores. More steps write better.

# %% [markdown]
# ## A network is data
#
# There are layers, and there are connections between them, and each connection has a **delay**. A
# connection with delay 0 is what you know from feed-forward networks: the target hears what the
# source says now. With delay 1 it hears what the source said one step ago. A layer that is
# connected to itself with delay 1 hears its own past, and that makes the network recurrent.

# %%
layers = [Layer("low", 6, "tanh"), Layer("high", 4, "gru"), Layer("output", 3, "linear")]
connections = [
    Connection("input", "low"),
    Connection("low", "low", delay=1),
    Connection("low", "low", delay=4),  # and what it said four steps ago
    Connection("low", "high"),
    Connection("high", "high", delay=1),
    Connection("high", "low", delay=1),  # feedback, from the upper layer to the lower one
    Connection("high", "output"),
]
small = Network(2, layers, connections)
print(small)

# %% [markdown]
# The input has two features here, and the layer called `output` is what the network returns. The
# word after a layer's size is its **cell**: what a unit does with what it hears. `tanh` is the
# plain old unit; a `gru` has gates, which let it keep a value for long.
#
# ## Run it over time
#
# `init` draws the parameters. They are a dictionary of arrays, one matrix for each connection and a
# bias for each layer: nothing is hidden.

# %%
params = init(small, jax.random.key(0))
for layer, arrays in params.items():
    print(layer, {name: array.shape for name, array in arrays.items()})

# %% [markdown]
# `unroll` runs the network over a **chunk** of time steps. Time comes first in every array, then
# the **lane**: the batch consists of several sequences side by side. What the network remembers
# between steps is its `state`, which starts as zeros, goes in, and comes out.

# %%
inputs = jax.random.normal(jax.random.key(1), (20, 5, 2))  # 20 steps, 5 lanes, 2 features
state = initial_state(small, 5)
outputs, last_state = unroll(small, params, state, inputs)
print(outputs.shape)

# %% [markdown]
# `step` takes one time step. Twenty of them are the same thing:

# %%
one_by_one = []
for now in inputs:
    output, state = step(small, params, state, now)
    one_by_one.append(output)
print("largest difference:", float(jnp.abs(jnp.stack(one_by_one) - outputs).max()))

# %% [markdown]
# ## Take a gradient
#
# Training needs to know how each parameter should change for the loss to fall. `jax.grad` takes a
# function and returns the function that computes its gradient. Here it runs back-propagation
# through all twenty time steps (`bptt.ipynb` does that by hand). The gradient has the shape of the
# parameters: a matrix for each connection.


# %%
def loss_of_small(params):
    outputs, _ = unroll(small, params, initial_state(small, 5), inputs)
    return jnp.square(outputs - 1).mean()  # say we want every output to be 1


gradient = jax.grad(loss_of_small)(params)
for connection in small.connections:
    size = jnp.linalg.norm(gradient[connection.target][connection.key])
    print(f"{connection!s:25} {float(size):.4f}")

# %% [markdown]
# ## Shakespeare
#
# Now something to learn. A text becomes an array of numbers, one for each character. The last tenth
# is left out of the training, so that we can tell later what has been learned and what has only
# been memorised.

# %%
text = encode_corpus(open_corpus(["shakespeare"]))
print(f"{len(text.train):,} characters to learn from, {text.vocabulary.size} different ones\n")
print(text.vocabulary.decode(text.valid[6:230]))
print(text.valid[6:30])

# %% [markdown]
# `stacked` builds the usual network: recurrent layers one above the other, below a linear output
# layer that gives each character a score.

# %%
symbols = text.vocabulary.size
network = stacked(symbols, [UNITS], symbols, "gru")
print(network)

# %% [markdown]
# The loss is how surprised the network is by the character that really comes next: the negative
# logarithm of the probability that it gave to it. A training step reads 32 steps in each of 32
# lanes and moves the parameters a little against the gradient. The next step goes on reading where
# this one ended, so the state is kept: what the network remembers may be older than the chunk.
#
# `jax.jit` compiles the whole step to one program, the loop over time included.

# %%
BATCH, CHUNK = 32, 32
schedule = optax.cosine_decay_schedule(6e-3, STEPS)
optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule))


def loss(params, state, chunk):
    logits, state = unroll(network, params, state, chunk.inputs, resets=chunk.resets)
    return cross_entropy(logits, chunk.targets).mean(), state


@jax.jit
def train(params, optimizer_state, state, chunk):
    (nats, state), gradient = jax.value_and_grad(loss, has_aux=True)(params, state, chunk)
    updates, optimizer_state = optimizer.update(gradient, optimizer_state)
    return optax.apply_updates(params, updates), optimizer_state, state, nats


# %%
params = init(network, jax.random.key(0))
untrained = params
optimizer_state, state = optimizer.init(params), initial_state(network, BATCH)
curve = []
for i in range(STEPS):
    chunk = contiguous_lanes(text.train, batch=BATCH, chunk=CHUNK, step=i, seed=0)
    chunk = jax.tree.map(jnp.asarray, chunk)
    params, optimizer_state, state, nats = train(params, optimizer_state, state, chunk)
    curve.append(nats)
    if (i + 1) % (STEPS // 5) == 0:
        bits = bits_per_character(float(jnp.stack(curve[-STEPS // 5 :]).mean()))
        print(f"step {i + 1}: {bits:.3f} bits per character")

# %% [markdown]
# Bits per character: as many yes-or-no questions one would have to ask, on average, to find out the
# next character with the network's help. Without any help it takes more than six, since there are
# 79 characters.

# %%
bits = np.array(curve) / np.log(2)
smooth = bits[: len(bits) // 10 * 10].reshape(-1, 10).mean(axis=1)
_, axes = plt.subplots(figsize=(7, 3))
axes.plot(10 * np.arange(len(smooth)), smooth, color="#4a6a8a")
axes.set(xlabel="training steps", ylabel="bits per character")
axes.grid(alpha=0.25)

# %% [markdown]
# On text that it has not seen:

# %%
before = LanguageModel(network, untrained, text.vocabulary)
model = LanguageModel(network, params, text.vocabulary)
for name, judged in (("before training", before), ("after", model)):
    print(f"{name}: {judged.bits_per_character(text.valid[:20_000]):.3f} bits per character")

# %% [markdown]
# ## It writes
#
# The network gives each character a probability; we draw one, feed it back as the next input, and
# so on. A **temperature** below 1 makes it keep to what it finds likely. Before training it types
# like a cat on a keyboard:

# %%
print(before.texts(150, prime="ROMEO:\n", choice=Choice(temperature=0.7), seed=0)[0])

# %% [markdown]
# And now:

# %%
written = model.texts(600, prime="ROMEO:\n", choice=Choice(temperature=0.7), seed=0)[0]
print(f"ROMEO:\n{written}")

# %% [markdown]
# Nobody told it that words exist, nor that a name in capitals comes before a speech.
#
# ## Look inside
#
# Let it read a text that it has not seen, and write down what each unit does after each character.
# Does one of them know how far we are into the line? We look for the unit whose activation goes
# along with the number of characters since the last line end most closely.

# %%
tokens = text.valid[:10_000]
characters = text.vocabulary.decode(tokens)
names, units = activations(network, params, tokens)
position = np.zeros(len(characters))
for i, character in enumerate(characters):
    position[i] = 0 if character == "\n" or i == 0 else position[i - 1] + 1

related = correlations(units, position[:, None])[:, 0]
best = np.abs(related).argmax()
print(f"{names[best]}: correlation {related[best]:.2f}")

# %% [markdown]
# Here is its activation, turned such that it rises with the position: blue is below its mean, red
# above.

# %%
activation = np.sign(related[best]) * units[:, best]
deviations = (activation - activation.mean()) / activation.std()
start = characters.index("\n\n", 400) + 2
picture, axes = plt.subplots(figsize=(7.5, 3.2), layout="constrained")
draw_text(axes, characters[start:], deviations[start:], lines=10, width=54)
draw_scale(picture, [axes], "standard deviations from the unit's mean")

# %% [markdown]
# (How does it treat a speaker's name, which is a line as well, but a short one?)
#
# With the position on the horizontal axis, every dot a character:

# %%
_, axes = plt.subplots(figsize=(7, 3))
axes.plot(position[:3000], activation[:3000], ".", ms=2, color="#b4442a")
axes.set(xlabel="characters since the line end", ylabel="activation")
axes.grid(alpha=0.25)

# %% [markdown]
# ## Where to go from here
#
# - `bptt.ipynb`: how back-propagation through time works, by hand and checked.
# - `own_cell.ipynb`: make a cell of your own, and one that needs no loop over time.
# - `python -m experiments.char_lm --help`: training with checkpoints, on your own text.
# - `python -m experiments.neurons`: the search above, with more features, and with the control that
#   such a search needs (how well does the best unit of an *untrained* network do?).
#
# And try: a larger `STEPS`; `"lstm"` or `"tanh"` in place of `"gru"`; `[64, 64]` in place of
# `[UNITS]`; another temperature; a unit that knows whether we are inside a name in capitals.

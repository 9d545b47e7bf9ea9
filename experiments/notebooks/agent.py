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
# # An agent that must remember
#
# A tiger is behind one of two doors, a prize behind the other. You may listen, which costs a little
# and is wrong now and then, or open a door. What you hear at one moment says too little: whoever
# wants to win has to add up what was heard. This is a *partially observable Markov decision
# process* (POMDP), and a network that remembers can learn to act in it without ever being told
# that there are states, or how they come about.
#
# We write the problem down, compute what the best agent could win, and what the best one without
# memory could, let a GRU learn it, and then look for what Bayes' rule would say inside its state.

# %%
import jax
import matplotlib.pyplot as plt
import numpy as np

from jaxrnn import initial_state, unroll_layers
from jaxrnn.acting import PPO, adapt, policy_network, train_agent
from jaxrnn.acting.finite import FiniteEnvironment
from jaxrnn.acting.judging import play, watch
from jaxrnn.pomdp import best_memoryless, bound_value, parse_pomdp

# %% tags=["parameters"]
STEPS, EPISODES = 600_000, 400

# %% [markdown]
# ## The problem, as data
#
# Cassandra's format says in a few lines what leads where (T), what is heard (O) and what is won
# (R). When a door was opened all begins anew, and whatever was heard before is worth nothing.

# %%
TIGER = """
discount: 0.95
values: reward
states: tiger-left tiger-right
actions: listen open-left open-right
observations: hear-left hear-right
start: uniform

T: listen identity
T: open-left uniform
T: open-right uniform

O: * uniform
O: listen
0.85 0.15
0.15 0.85

R: listen : * : * : * -1
R: open-left : tiger-left : * : * -100
R: open-left : tiger-right : * : * 10
R: open-right : tiger-left : * : * 10
R: open-right : tiger-right : * : * -100
"""
pomdp = parse_pomdp(TIGER)

# %% [markdown]
# ## What can be won
#
# Who knows the probabilities can keep a *belief*, the probability of each state given all that was
# heard, and plan with it. Two bounds close in on the value of the best plan. Without memory there
# is no belief: every sound is the first one, opening a door on one sound is a bad bet, and all that
# is left is to listen for ever.

# %%
bounds = bound_value(pomdp, gap=0.1)
memoryless = best_memoryless(pomdp, ascents=16)
print(f"the best agent wins between {bounds.lower:.2f} and {bounds.upper:.2f} on average;")
print(f"the best one without memory {memoryless.value:.2f}")

# %% [markdown]
# ## An agent
#
# An environment has two functions, `reset` and `step`, as in gymnax; here the POMDP is one. The
# agent's network hears what is observed, the last action and the last reward. It has two outputs:
# a policy, and a value, which says how much it expects to win from here on.

# %%
place = adapt(FiniteEnvironment(pomdp, "tiger", limit=400))
network = policy_network(place, hidden=[32], cell="gru")
print(network)

# %% [markdown]
# It learns by recurrent PPO: 64 places at once, 32 steps in each between two updates. The state of
# the network goes on from rollout to rollout and forgets where an episode begins. Rewards reach
# the network divided by 100.

# %%
ppo = PPO(discount=pomdp.discount, reward_scale=0.01, entropy=0.05)
params, learned = {}, []


def look(update, now):
    """After each evaluation: what was learned so far."""
    params[update] = jax.tree.map(lambda x: x[0], now)
    won = play(
        network, params[update], place, jax.random.key(1), episodes=EPISODES, steps=150,
        discount=pomdp.discount, reward_scale=ppo.reward_scale,
    )  # fmt: skip
    learned.append((update * ppo.lanes * ppo.rollout, float(won.discounted.mean())))


fitted = train_agent(
    network, place, ppo, steps=STEPS, evaluations=12, episodes=8, watched=150, after=look
)
steps, won = zip(*learned, strict=True)

plt.figure(figsize=(7, 3.6))
plt.plot(steps, won, "o-", color="#b4442a", label="GRU")
plt.axhline(bounds.upper, color="black", ls="--", lw=0.8, label="the best agent")
plt.axhline(memoryless.value, color="black", ls=":", lw=0.8, label="the best without memory")
plt.ylim(-60, 25)
plt.xlabel("steps in the environment")
plt.ylabel("discounted return")
plt.legend(frameon=False)
plt.show()

# %% [markdown]
# ## What it does
#
# The beginning of an episode. Who acts by Bayes' rule listens until the odds are high enough, and
# knows that what is heard right after a door was opened says nothing.

# %%
last = params[max(params)]
seen = watch(
    network, last, place, jax.random.key(2), episodes=EPISODES, steps=60,
    reward_scale=ppo.reward_scale,
)  # fmt: skip
names = (*pomdp.observations, "nothing yet")
belief = np.asarray(seen.environment[0].belief)
for t in range(20):
    heard, action = int(seen.observation[t, 0]), int(seen.action[t, 0])
    print(
        f"hears {names[heard]:<12} belief in tiger-left {belief[t, 0, 0]:.3f}   "
        f"{pomdp.actions[action]:<11}{float(seen.reward[t, 0]):+6.0f}"
    )

# %% [markdown]
# ## The belief, inside
#
# Nobody told the network of beliefs. Is there one in it? We fit a linear map from its state to the
# log-odds of the exact belief, on half of the episodes, and look at the other half. The control is
# the network before it had learned anything, which hears the same episodes: a random network keeps
# something of what it hears, too.


# %%
def read_out(params):
    """Exact log-odds, and those that a linear map finds in the state, in the second half."""
    heard = unroll_layers(
        network, params, initial_state(network, EPISODES), seen.heard, resets=seen.first
    )
    state = np.asarray(heard.outputs["hidden1"])
    state = np.concatenate([state, np.ones((*state.shape[:2], 1))], axis=-1)
    odds = np.log(belief[..., 0].clip(1e-9)) - np.log(belief[..., 1].clip(1e-9))
    half = EPISODES // 2
    known = state[:, :half].reshape(-1, state.shape[-1])
    weights, *_ = np.linalg.lstsq(known, odds[:, :half].ravel(), rcond=1e-3)
    return odds[:, half:].ravel(), (state[:, half:] @ weights).ravel()


picture, panels = plt.subplots(1, 2, figsize=(8, 3.8), sharey=True)
for panel, update, title in zip(
    panels, (min(params), max(params)), ("before learning", "after learning"), strict=True
):
    exact, read = read_out(params[update])
    share = 1 - np.square(read - exact).sum() / np.square(exact - exact.mean()).sum()
    panel.plot(exact, read, ".", color="#b4442a", alpha=0.1, ms=3)
    panel.axline((0, 0), slope=1, color="black", lw=0.8)
    panel.set(title=f"{title}: $R^2$ = {share:.3f}", xlabel="log-odds of the exact belief")
panels[0].set_ylabel("read out of the state")
plt.show()

# %% [markdown]
# The state of the trained network holds what was heard since a door was last opened, added up: a
# belief, learned from rewards alone. An untrained network happens to hold much of it as well, in a
# problem as small as this; `python -m experiments.belief` asks the same in larger ones.
#
# - `python -m experiments.agent --task=tiger` does all this as a program, for this problem and a
#   dozen others, with `--cell`, `--nomemory` and `--delays` to try other memories; any `.POMDP`
#   file is a task too.
# - `python -m experiments.agents` compares memories.

"""What the best agent reaches in a POMDP, from below and from above, until the two bounds meet.

From below, vectors whose values some policy reaches, made by point-based backups (Pineau, Gordon
and Thrun 2003, Point-based value iteration). From above, the fast informed bound (Hauskrecht 2000,
Value-function approximations for partially observable Markov decision processes, section 4.4),
lowered at single beliefs and between them. Beliefs are looked for where the gap is widest, from the
start on (Smith and Simmons 2005, Point-based POMDP algorithms: improved analysis and
implementation).
"""

import time
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxrnn.core.errors import InputError
from jaxrnn.pomdp.model import POMDP

Belief = Float[np.ndarray, " states"]

SWEEPS = 100_000  # at most, of the fast informed bound
DEPTH = 400  # steps from the start, at most
PRUNE_EVERY = 1.2  # times as many as were left


class Bounds(NamedTuple):
    """Of the optimal value at the start.

    Attributes:
      lower: a policy reaches that.
      upper: none reaches more.
      vectors: of the policy; at a belief b it takes `actions[i]` where `vectors[i] @ b` is largest.
      actions: likewise.
    """

    lower: float
    upper: float
    vectors: Float[np.ndarray, "vectors states"]
    actions: np.ndarray

    def action(self, belief: Belief) -> int:
        """What the policy does."""
        return int(self.actions[(self.vectors @ belief).argmax()])


def bound_value(pomdp: POMDP, *, gap: float = 1e-3, seconds: float = 60.0) -> Bounds:
    """Bounds of the optimal value at the start.

    Args:
      pomdp: its discount is below 1.
      gap: the bounds may leave.
      seconds: after which they are given as they are.

    Raises:
      InputError: the discount is 1.
    """
    if pomdp.discount >= 1:
        raise InputError(
            f"bounds are for discounts below 1, and this POMDP's is {pomdp.discount:g}; give it a "
            "lower one"
        )
    search = _Search(pomdp)
    end = time.monotonic() + seconds
    while True:
        lower = sum(p * search.lower(b) for p, b in pomdp.starts)
        upper = sum(p * search.upper(b) for p, b in pomdp.starts)
        if upper - lower <= gap or time.monotonic() > end:
            return Bounds(lower, upper, search.vectors, search.actions)
        _, widest = max(pomdp.starts, key=lambda x: x[0] * search.gap(x[1]))
        search.explore(widest, gap)


class _Search:
    def __init__(self, pomdp: POMDP) -> None:
        self.pomdp = pomdp
        transition, reward = pomdp.transition, pomdp.expected_reward
        actions, states, _ = transition.shape
        discounted = np.eye(states) - pomdp.discount * transition
        # Always the same action: that is a policy, too.
        self.vectors = np.linalg.solve(discounted, reward[..., None])[..., 0]
        self.actions = np.arange(actions)
        self.pruned = len(self.vectors)
        # [a, o, s, s2]: to s2, seeing o
        self.joint = np.einsum("ast,ato->aost", transition, pomdp.observation)
        self.informed = self._informed(reward)
        self.corners = self.informed.max(axis=0)
        self.points = np.zeros((0, states))
        self.values = np.zeros(0)  # bounds there
        self.inverse = np.zeros((0, states))

    def _informed(self, reward: np.ndarray) -> np.ndarray:
        """Who is told the state a step late cannot do better: [action, state]."""
        discount = self.pomdp.discount
        bound = np.full_like(reward, reward.max() / (1 - discount))
        for _ in range(SWEEPS):
            best = np.einsum("aost,bt->aosb", self.joint, bound).max(axis=3).sum(axis=1)
            new = reward + discount * best
            if np.abs(new - bound).max() < 1e-9 * max(1.0, np.abs(new).max()):
                break
            bound = new
        return bound

    def lower(self, belief: Belief) -> float:
        return float((self.vectors @ belief).max())

    def upper(self, belief: Belief) -> float:
        """The lowest that corners, a point and the informed bound say together."""
        corners = float(self.corners @ belief)
        informed = float((self.informed @ belief).max())
        if not len(self.points):
            return min(corners, informed)
        # How much of each point is in the belief.
        share = np.where(self.points > 0, belief * self.inverse, np.inf).min(axis=1)
        drops = self.values - self.points @ self.corners
        return min(corners, corners + float((share * drops).min()), informed)

    def gap(self, belief: Belief) -> float:
        return self.upper(belief) - self.lower(belief)

    def explore(self, belief: Belief, gap: float) -> None:
        """Follows the widest gap down from a belief, and mends the bounds on the way back."""
        way = []
        for depth in range(DEPTH):
            way.append(belief)
            if self.gap(belief) <= 0.5 * gap / self.pomdp.discount**depth:
                break
            _, beliefs, likely = self._best(belief)
            room = 0.5 * gap / self.pomdp.discount ** (depth + 1)
            excess = [p * (self.gap(b) - room) if p > 0 else -np.inf
                      for b, p in zip(beliefs, likely, strict=True)]  # fmt: skip
            if max(excess) <= 0:
                break
            belief = beliefs[int(np.argmax(excess))]
        for belief in reversed(way):
            self._raise(belief)
            self._lower(belief)

    def _best(self, belief: Belief) -> tuple[float, np.ndarray, np.ndarray]:
        """What may be hoped for, and what would be believed after the best action, how likely."""
        found = []
        for action, joint in enumerate(self.joint):
            after = belief @ joint  # [o, s2]
            likely = after.sum(axis=1)
            beliefs = after / np.where(likely > 0, likely, 1)[:, None]
            follows = sum(
                p * self.upper(b) for b, p in zip(beliefs, likely, strict=True) if p > 1e-12
            )
            value = self.pomdp.expected_reward[action] @ belief + self.pomdp.discount * follows
            found.append((float(value), beliefs, likely))
        return max(found, key=lambda x: x[0])

    def _raise(self, belief: Belief) -> None:
        """A point-based backup: the best plan of one step more."""
        best_value, best = -np.inf, None
        for action, joint in enumerate(self.joint):
            after = belief @ joint
            chosen = self.vectors[(after @ self.vectors.T).argmax(axis=1)]  # [o, s2]
            vector = self.pomdp.expected_reward[action] + self.pomdp.discount * np.einsum(
                "ost,ot->s", joint, chosen
            )
            value = float(vector @ belief)
            if value > best_value:
                best_value, best = value, (vector, action)
        assert best is not None
        if best_value > self.lower(belief) + 1e-12:
            self.vectors = np.vstack([self.vectors, best[0]])
            self.actions = np.append(self.actions, best[1])
            if len(self.vectors) > PRUNE_EVERY * self.pruned + 10:
                self._prune()

    def _prune(self) -> None:
        """Leaves out vectors that another one exceeds everywhere."""
        kept: list[int] = []
        for i in range(len(self.vectors) - 1, -1, -1):
            others = self.vectors[kept]
            if not len(others) or not (others >= self.vectors[i] - 1e-12).all(axis=1).any():
                kept.append(i)
        kept.reverse()
        self.vectors, self.actions = self.vectors[kept], self.actions[kept]
        self.pruned = len(kept)

    def _lower(self, belief: Belief) -> None:
        """The bound at a belief, from what may follow it."""
        value = min(self._best(belief)[0], self.upper(belief))
        states = np.flatnonzero(belief > 1 - 1e-12)
        if len(states):
            self.corners = self.corners.copy()
            self.corners[states[0]] = min(self.corners[states[0]], value)
            return
        if value < self.upper(belief) - 1e-12:
            self.points = np.vstack([self.points, belief])
            self.values = np.append(self.values, value)
            inverse = np.divide(1, belief, out=np.zeros_like(belief), where=belief > 0)
            self.inverse = np.vstack([self.inverse, inverse])

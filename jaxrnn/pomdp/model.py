"""A finite partially observable Markov decision process, as arrays."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float

from jaxrnn.core.errors import InputError

TOLERANCE = 1e-4  # of what probabilities add up to; files give them to so many digits


@dataclass(frozen=True, eq=False)
class POMDP:
    """States that are not seen, actions, and observations that tell of the state.

    In state s, action a leads to s2 with probability `transition[a, s, s2]`, for the reward
    `reward[a, s, s2]`; then o is seen with probability `observation[a, s2, o]`.

    Attributes:
      transition, observation, reward: likewise; all in float64. What belongs to a probability is
        brought to add up to 1.
      start: the probability of each state at first.
      discount: of rewards, a step; below 1, unless every way ends in a state that is absorbing.
      first_observation: `[s, o]`, of what is seen before the first action; None: nothing is.
      states, actions, observations: their names.

    Raises:
      InputError: shapes do not fit each other, or probabilities do not add up to 1.
    """

    transition: Float[np.ndarray, "actions states states"]
    observation: Float[np.ndarray, "actions states observations"]
    reward: Float[np.ndarray, "actions states states"]
    start: Float[np.ndarray, " states"]
    discount: float
    first_observation: Float[np.ndarray, "states observations"] | None = None
    states: Sequence[str] = field(default=())
    actions: Sequence[str] = field(default=())
    observations: Sequence[str] = field(default=())

    def __post_init__(self) -> None:
        arrays = {
            name: np.asarray(getattr(self, name), np.float64)
            for name in ("transition", "observation", "reward", "start")
        }
        if arrays["transition"].ndim != 3 or arrays["observation"].ndim != 3:
            raise InputError(
                "transition and observation of a POMDP have "
                f"{arrays['transition'].ndim} and {arrays['observation'].ndim} axes; expected are "
                "[actions, states, states] and [actions, states, observations]"
            )
        actions, states, _ = arrays["transition"].shape
        seen = arrays["observation"].shape[2]
        shapes = {
            "transition": (actions, states, states), "observation": (actions, states, seen),
            "reward": (actions, states, states), "start": (states,),
        }  # fmt: skip
        if self.first_observation is not None:
            arrays["first_observation"] = np.asarray(self.first_observation, np.float64)
            shapes["first_observation"] = (states, seen)
        for name, array in arrays.items():
            if array.shape != shapes[name]:
                raise InputError(
                    f"{name} of a POMDP has shape {list(array.shape)} where {list(shapes[name])} "
                    "is expected"
                )
            if not np.isfinite(array).all():
                raise InputError(f"{name} of a POMDP is not finite; give numbers")
            object.__setattr__(self, name, array if name == "reward" else _shared(name, array))
        if not 0 <= self.discount <= 1:
            raise InputError(f"the discount of a POMDP is {self.discount}; give one from 0 to 1")
        for what, count in (("states", states), ("actions", actions), ("observations", seen)):
            names = tuple(getattr(self, what)) or tuple(map(str, range(count)))
            if len(names) != count:
                raise InputError(f"a POMDP of {count} {what} has {len(names)} names for them")
            object.__setattr__(self, what, names)

    @cached_property
    def expected_reward(self) -> Float[np.ndarray, "actions states"]:
        """Of an action in a state."""
        return (self.transition * self.reward).sum(axis=2)

    @cached_property
    def terminal(self) -> Bool[np.ndarray, " states"]:
        """The states that no action leaves, and in which nothing is won: an episode's end."""
        stays = np.diagonal(self.transition, axis1=1, axis2=2).min(axis=0) == 1
        return stays & (self.expected_reward == 0).all(axis=0)

    @cached_property
    def starts(self) -> list[tuple[float, Float[np.ndarray, " states"]]]:
        """What may be believed before the first action, and how likely that is."""
        if self.first_observation is None:
            return [(1.0, self.start)]
        joint = self.start[:, None] * self.first_observation
        return [(p, joint[:, o] / p) for o, p in enumerate(joint.sum(axis=0)) if p > 0]

    def believe(
        self, belief: Float[np.ndarray, "*lanes states"], action: int, observation: int
    ) -> Float[np.ndarray, "*lanes states"]:
        """Bayes' rule: what is believed of the state after an action and what was seen then.

        Kaelbling, Littman and Cassandra 1998, Planning and acting in partially observable
        stochastic domains, section 3.3.

        Raises:
          InputError: that could not be seen.
        """
        joint = belief @ self.transition[action] * self.observation[action, :, observation]
        total = joint.sum(axis=-1, keepdims=True)
        if not np.all(total > 0):
            raise InputError(
                f"observation '{self.observations[observation]}' cannot follow action "
                f"'{self.actions[action]}' from this belief"
            )
        return joint / total


def _shared(name: str, array: np.ndarray) -> np.ndarray:
    """Probabilities, which add up to 1 over the last axis."""
    totals = array.sum(axis=-1, keepdims=True)
    if array.min(initial=0) < 0 or np.abs(totals - 1).max(initial=0) > TOLERANCE:
        where = np.unravel_index(np.abs(totals - 1).argmax(), totals.shape)[:-1]
        at = f" at {list(map(int, where))}" if where else ""
        raise InputError(
            f"{name} of a POMDP is no probability{at}: it adds up to {totals[where].item():g}, its "
            f"least entry is {array[where].min():g}; make it add up to 1"
        )
    return array / totals

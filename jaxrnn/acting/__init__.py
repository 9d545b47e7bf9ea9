"""Agents that remember: environments, recurrent PPO, and how an agent is judged."""

from jaxrnn.acting.environments import (
    Box,
    Discrete,
    Environment,
    Place,
    Transition,
    adapt,
)
from jaxrnn.acting.judging import Episodes, play
from jaxrnn.acting.policy import policy_network
from jaxrnn.acting.ppo import PPO
from jaxrnn.acting.training import train_agent

__all__ = [
    "PPO",
    "Box",
    "Discrete",
    "Environment",
    "Episodes",
    "Place",
    "Transition",
    "adapt",
    "play",
    "policy_network",
    "train_agent",
]

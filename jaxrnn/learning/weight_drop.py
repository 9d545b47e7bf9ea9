"""Weight drop: entries of recurrent matrices that count for nothing, others in each step."""

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from jaxrnn.core.engine.dropout import check_rate
from jaxrnn.core.errors import InputError
from jaxrnn.core.keys import derive
from jaxrnn.core.layers import FULL, Connection
from jaxrnn.core.network import Network
from jaxrnn.core.parameters import Params


def drop_weights(network: Network, params: Params, rate: float, key: PRNGKeyArray) -> Params:
    """The parameters, where of each recurrent matrix a share `rate` of the entries is 0.

    The others are divided by 1 - rate. One mask for all lanes and time steps of a chunk:
    DropConnect (Wan and others 2013, Regularization of neural networks using DropConnect) on
    recurrent matrices alone (Merity, Keskar and Socher 2018, Regularizing and optimizing LSTM
    language models).
    """
    dropped = {layer: dict(arrays) for layer, arrays in params.items()}
    for connection in recurrent_matrices(network):
        target, name = connection.target, connection.key
        matrix = params[target][name]
        kept = jax.random.bernoulli(
            derive(key, "weight drop", target, name), 1 - rate, matrix.shape
        )
        dropped[target][name] = jnp.where(kept, matrix / (1 - rate), 0)
    return dropped


def check_weight_drop(network: Network, rate: float) -> None:
    """Refuses a rate that is none, or that nothing is dropped by."""
    check_rate(rate, "the weight drop's rate")
    if rate and not recurrent_matrices(network):
        raise InputError(
            f"the weight drop's rate is {rate}, but the network has no recurrent matrix; leave it "
            "out"
        )


def recurrent_matrices(network: Network) -> list[Connection]:
    """The delayed connections between layers that have a matrix."""
    return [
        c
        for c in network.connections
        if c.delay and c.kind == FULL and not network.is_input(c.source)
    ]

"""Symbols on the host, where one that is out of range can be refused.

Inside a compiled program nothing can be: there such a symbol makes its lane's numbers NaN.
"""

import numpy as np
from jaxtyping import Integer, Shaped

from jaxrnn.core.errors import InputError
from jaxrnn.core.network import OUTPUT, Network
from jaxrnn.learning.loss import Loss, cross_entropy


def check_symbols(symbols: Integer[np.ndarray, "..."], size: int, what: str) -> None:
    """Refuses symbols out of [0, size); `what` names them in the sentence: "the inputs", say."""
    wrong = symbols[(symbols < 0) | (symbols >= size)]
    if wrong.size:
        raise InputError(
            f"{what} hold {wrong[0]}, but those of the network are 0 to {size - 1}; "
            "encode them with the vocabulary that it was made for"
        )


def check_data(
    network: Network,
    inputs: Shaped[np.ndarray, "..."],
    targets: Shaped[np.ndarray, "..."],
    weights: Shaped[np.ndarray, "..."] | None,
    loss: Loss,
) -> None:
    """Refuses inputs that are symbols out of range, and targets of `cross_entropy` that are.

    Where a weight is 0 they may be anything.
    """
    counts = ... if weights is None else weights != 0
    if np.issubdtype(inputs.dtype, np.integer):
        check_symbols(inputs[counts], network.input_size, "the inputs")
    if loss is cross_entropy:
        check_symbols(targets[counts], network.size(OUTPUT), "the targets")

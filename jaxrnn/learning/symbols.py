"""Symbols on the host, where one that is out of range can be refused.

Inside a compiled program nothing can be: there such a symbol makes its lane's numbers NaN.
"""

import numpy as np

from jaxrnn.core.checks import check_lengths, check_symbols
from jaxrnn.core.engine.arguments import by_name
from jaxrnn.core.layers import OUTPUT
from jaxrnn.core.network import Network
from jaxrnn.learning.batch import Batch
from jaxrnn.learning.loss import Loss, cross_entropy, is_right


def check_data(network: Network, batch: Batch, loss: Loss) -> None:
    """Refuses inputs that are symbols out of range, and targets that are, where they are classes;
    and lengths that inputs do not have.

    Where a weight is 0 they may be anything. Any axes may lie in front of the batch's.
    """
    given = by_name(network, batch.inputs)
    counts = ... if batch.weights is None else np.asarray(batch.weights) != 0
    if batch.lengths is not None:
        lengths = np.asarray(batch.lengths)
        time = next(iter(given.values())).shape[lengths.ndim - 1]
        check_lengths(lengths, time, "a batch has the length")
        within = np.arange(time)[:, None] < lengths[..., None, :]
        counts = within if batch.weights is None else within & counts
    for name, size in network.inputs:
        inputs = np.asarray(given[name])
        if np.issubdtype(inputs.dtype, np.integer):
            check_symbols(inputs[counts], size, "the inputs")
    if loss in (cross_entropy, is_right):
        check_symbols(np.asarray(batch.targets)[counts], network.size(OUTPUT), "the targets")

"""Before anything is timed: do all contenders compute the same thing?"""

from collections.abc import Mapping, Sequence

import numpy as np

from experiments.benchmark.shapes import Data, Params, Shape, layers, output_layer

STEPS = 4  # losses of so many training steps are compared: all but the first see updates
TOLERANCE = 3e-5  # relative; they differ by 1e-6


class Disagreement(RuntimeError):
    """Two contenders were given the same weights and text and do not find the same loss."""


def is_variant(contender: str, shape: Shape) -> bool:
    """The GRU of haiku multiplies the state by the reset gate before the recurrent product."""
    return contender == "haiku" and shape.cell == "gru"


def check_losses(
    shape: Shape, params: Params, data: Data, losses: Mapping[str, Sequence[float]]
) -> None:
    """Raises where a contender's losses are not those of jaxrnn.

    A variant is held to its formula in NumPy, for the first step only.
    """
    for contender, found in losses.items():
        expected = losses["jaxrnn"]
        if is_variant(contender, shape):
            expected = [_variant_loss(shape, params, data.inputs[0], data.targets[0])]
            found = found[:1]
        if not np.allclose(found, expected, rtol=TOLERANCE, atol=0):
            raise Disagreement(
                f"{contender} does not compute what it is compared with ({shape.name}): its losses "
                f"are {list(found)} where {list(expected)} are expected; nothing was timed"
            )


def check_logits(shape: Shape, logits: Mapping[str, np.ndarray]) -> None:
    """Raises where a contender, having read the same text, expects another symbol to follow."""
    for contender, found in logits.items():
        if not np.allclose(found, logits["jaxrnn"], rtol=1e-4, atol=1e-4):
            raise Disagreement(
                f"{contender} does not compute what it is compared with ({shape.network_name}): its"
                f" logits differ by {np.abs(found - logits['jaxrnn']).max():.2g}; nothing was timed"
            )


def _variant_loss(shape: Shape, params: Params, inputs: np.ndarray, targets: np.ndarray) -> float:
    """Of a stack of GRUs as in v3 of Cho and others 2014, in float64, from the zero state."""
    values = np.eye(params["hidden1"]["input@0"].shape[0])[inputs]
    for below, recurrent, bias in layers(shape, params):
        from_gates, from_candidate = np.split(recurrent.astype(float), [2 * len(recurrent)], axis=1)
        state, outputs = np.zeros((inputs.shape[1], len(recurrent))), []
        for drive in values @ below + bias:
            for_gates, for_candidate = np.split(drive, [2 * len(recurrent)], axis=1)
            reset, update = np.split(_logistic(for_gates + state @ from_gates), 2, axis=1)
            candidate = np.tanh(for_candidate + (reset * state) @ from_candidate)
            state = update * state + (1 - update) * candidate
            outputs.append(state)
        values = np.stack(outputs)
    matrix, bias = output_layer(shape, params)
    logits = values @ matrix + bias
    right = np.take_along_axis(logits, targets[..., None], axis=2)[..., 0]
    return float((np.log(np.exp(logits).sum(axis=2)) - right).mean())


def _logistic(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))

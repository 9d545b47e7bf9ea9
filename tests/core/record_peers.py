"""What PyTorch's, Flax's and Haiku's own modules put out, for given weights.

`python -m tests.core.record_peers`, where those libraries are installed, writes `peers.json`.
Weights and inputs are made of a formula, so that only their names and shapes are recorded.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

RECORD = Path(__file__).with_name("peers.json")
TIME, BATCH, INPUTS, SIZE, OUTPUTS = 5, 2, 3, 4, 2
CASES: dict[str, dict[str, Any]] = {
    "torch.nn.RNN": {"num_layers": 2},
    "torch.nn.RNN with relu": {"nonlinearity": "relu"},
    "torch.nn.LSTM": {"num_layers": 2},
    "torch.nn.GRU": {"num_layers": 2},
    "torch.nn.RNN without bias": {"bias": False},
    "torch.nn.LSTM without bias": {"bias": False},
    "torch.nn.GRU without bias": {"bias": False},
    "torch.nn.LSTM in both directions": {"num_layers": 2, "bidirectional": True},
    "torch.nn.GRU in both directions": {"bidirectional": True},
    "flax.linen.SimpleCell": {},
    "flax.linen.LSTMCell": {},
    "flax.linen.OptimizedLSTMCell": {},
    "flax.linen.GRUCell": {},
    "flax.nnx.SimpleCell": {},
    "flax.nnx.LSTMCell": {},
    "flax.nnx.OptimizedLSTMCell": {},
    "flax.nnx.GRUCell": {},
    "haiku.VanillaRNN": {},
    "haiku.VanillaRNN with one bias": {"double_bias": False},
    "haiku.LSTM": {},
}


def numbers(shape: list[int], seed: int) -> np.ndarray:
    """Between -1 and 1, as if at random."""
    return np.sin(np.arange(np.prod(shape)) + 100 * seed).astype(np.float32).reshape(shape)


def sequences() -> np.ndarray:
    return numbers([TIME, BATCH, INPUTS], 0)


def filled(shapes: dict[str, list[int]]) -> dict[str, np.ndarray]:
    """Arrays of these shapes, by their paths."""
    return {name: numbers(shapes[name], i) for i, name in enumerate(sorted(shapes), 1)}


def nested(arrays: dict[str, Any]) -> dict[str, Any]:
    """As Flax has arrays whose paths are `cell/hi/kernel`."""
    result: dict[str, Any] = {}
    for path, array in arrays.items():
        *folders, name = path.split("/")
        place = result
        for folder in folders:
            place = place.setdefault(folder, {})
        place[name] = array
    return result


def in_pairs(arrays: dict[str, Any]) -> dict[str, Any]:
    """As Haiku has arrays whose paths are `lstm/linear/w`."""
    result: dict[str, Any] = {}
    for path, array in arrays.items():
        module, name = path.rsplit("/", 1)
        result.setdefault(module, {})[name] = array
    return result


def run_torch(name: str, options: dict[str, Any]) -> tuple[list[str], dict, np.ndarray]:
    """The modules, the shapes of their arrays, and their outputs; as below."""
    import torch

    module = getattr(torch.nn, name)(INPUTS, SIZE, **options)
    head = torch.nn.Linear(SIZE * (1 + module.bidirectional), OUTPUTS)
    model = torch.nn.ModuleDict({"rnn": module, "head": head})
    shapes = {path: list(array.shape) for path, array in model.state_dict().items()}
    model.load_state_dict({path: torch.from_numpy(x) for path, x in filled(shapes).items()})
    outputs = model["head"](model["rnn"](torch.from_numpy(sequences()))[0])
    return ["rnn", "head"], shapes, outputs.detach().numpy()


def run_linen(name: str, options: dict[str, Any]) -> tuple[list[str], dict, np.ndarray]:
    import jax
    from flax import linen

    rnn, head = linen.RNN(getattr(linen, name)(SIZE), time_major=True), linen.Dense(OUTPUTS)
    key = jax.random.key(0)
    drawn = {
        "rnn": rnn.init(key, sequences())["params"],
        "head": head.init(key, np.zeros((1, SIZE)))["params"],
    }
    shapes = _shapes(drawn)
    given = nested(filled(shapes))
    hidden = rnn.apply({"params": given["rnn"]}, sequences())
    return ["rnn/cell", "head"], shapes, np.asarray(head.apply({"params": given["head"]}, hidden))


def run_nnx(name: str, options: dict[str, Any]) -> tuple[list[str], dict, np.ndarray]:
    from flax import nnx

    rngs = nnx.Rngs(0)
    rnn = nnx.RNN(getattr(nnx, name)(INPUTS, SIZE, rngs=rngs), time_major=True)
    model = nnx.Dict(rnn=rnn, head=nnx.Linear(SIZE, OUTPUTS, rngs=rngs))
    shapes = _shapes(nnx.to_pure_dict(nnx.state(model, nnx.Param)))
    nnx.update(model, nested(filled(shapes)))
    return ["rnn/cell", "head"], shapes, np.asarray(model["head"](model["rnn"](sequences())))


def run_haiku(name: str, options: dict[str, Any]) -> tuple[list[str], dict, np.ndarray]:
    import haiku
    import jax

    def model(inputs):
        core = getattr(haiku, name)(SIZE, name="rnn", **options)
        outputs, _ = haiku.dynamic_unroll(core, inputs, core.initial_state(BATCH))
        return haiku.Linear(OUTPUTS, name="head")(outputs)

    model = haiku.transform(model)
    shapes = _shapes(model.init(jax.random.key(0), sequences()))
    outputs = model.apply(in_pairs(filled(shapes)), None, sequences())
    return ["rnn", "head"], shapes, np.asarray(outputs)


RUN = {"torch.nn": run_torch, "flax.linen": run_linen, "flax.nnx": run_nnx, "haiku": run_haiku}


def run(case: str) -> dict[str, Any]:
    """What is recorded of a case."""
    library, name = case.split(" ")[0].rsplit(".", 1)
    modules, shapes, outputs = RUN[library](name, CASES[case])
    return {"modules": modules, "shapes": shapes, "outputs": outputs.tolist()}


def _shapes(tree: Any) -> dict[str, list[int]]:
    import jax

    paths = jax.tree_util.tree_leaves_with_path(tree)
    return {"/".join(part.key for part in path): list(leaf.shape) for path, leaf in paths}


if __name__ == "__main__":
    import flax
    import haiku
    import torch

    libraries = {library.__name__: library.__version__ for library in (torch, flax, haiku)}
    lines = ",\n".join(f'"{case}": {json.dumps(run(case))}' for case in CASES)
    text = f'{{"versions": {json.dumps(libraries)},\n"cases": {{\n{lines}\n}}}}\n'
    RECORD.write_text(text, encoding="utf-8")

"""The layers of a network become modules of another library, from the input up."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from jaxrnn.core.cells import is_registered
from jaxrnn.core.checks import listed, shapes_of, shown
from jaxrnn.core.errors import InputError
from jaxrnn.core.layers import INPUT, Connection, Layer
from jaxrnn.core.network import Network
from jaxrnn.core.parameters import BIAS, Params, parameter_shapes
from jaxrnn.core.weights.forms import REVERSE, TORCH, Form, Library, Weights


def give(
    library: Library, network: Network, params: Params, modules: Sequence[str]
) -> dict[str, np.ndarray]:
    """The arrays, by their paths, of modules that together are the network."""
    if not isinstance(params, Mapping) or shapes_of(dict(params)) != parameter_shapes(network):
        raise InputError("the parameters do not fit the network; give those that belong to it")
    levels = _levels_of(network)
    forms = [_form_of(library, network, level, levels) for level in levels]
    result: dict[str, np.ndarray] = {}
    below = [INPUT]
    for level, form, (before, after) in zip(
        levels, forms, _places(library, levels, forms, modules), strict=True
    ):
        for layer in level:
            own = {key: np.asarray(array) for key, array in params[layer.name].items()}
            matrix = np.concatenate([own[f"{source}@0"] for source in below])
            recurrent, bias = own.get(f"{layer.name}@1"), own.get(BIAS)
            way = REVERSE * layer.backward
            for name, array in form.write(
                Weights(layer.cell.name, matrix, recurrent, bias)
            ).items():
                path = f"{before}{name}{after}{way}"
                if path in result:
                    raise _collision(path, modules)
                result[path] = array
        below = [layer.name for layer in level]
    for path in result:
        folders = itertools.accumulate(
            path.split(library.separator)[:-1], lambda x, y: f"{x}{library.separator}{y}"
        )
        if folder := next((folder for folder in folders if folder in result), None):
            raise _collision(folder, modules)
    return result


def _collision(path: str, modules: Sequence[str]) -> InputError:
    return InputError(
        f"two of the modules {shown(list(modules))} would have something at '{path}'; name "
        "modules that do not lie in each other"
    )


def _levels_of(network: Network) -> list[list[Layer]]:
    """The layers from the input up; of those in both directions, the forward one first."""
    levels, below, chain = [], {INPUT}, set()
    while below:
        level = [
            layer for layer in network.layers
            if {c.source for c in network.into(layer.name) if not c.delay} == below
        ]  # fmt: skip
        level.sort(key=lambda layer: layer.backward)
        chain |= {Connection(source, layer.name) for source in below for layer in level}
        below = {layer.name for layer in level}
        levels += [level] if level else []
    loops = {Connection(x.name, x.name, 1) for x in network.layers} & set(network.connections)
    names = [{layer.name for layer in level} for level in levels]
    pairs = [level for level in levels if len(level) > 1]
    if (
        set(network.connections) - loops != chain
        or set(itertools.chain(*levels)) != set(network.layers)
        or any(level[0].backward for level in levels)
        or any(len(pair) > 2 or not pair[1].backward for pair in pairs)
        or any(Connection(x.name, x.name, 1) not in loops for pair in pairs for x in pair)
        or set(network.outputs) != names[-1]
    ):
        raise InputError(
            "the network is no stack of layers, each fully connected to the one below and to "
            "itself with delay 1, or linear; modules of other libraries are"
        )
    return levels


def _form_of(
    library: Library, network: Network, level: list[Layer], levels: list[list[Layer]]
) -> Form:
    """The module that a level's layers, of one direction or of both, are one layer of."""
    layer = level[0]
    recurrent = Connection(layer.name, layer.name, 1) in network.connections
    embeds = level is levels[0] and len(levels) > 1 and not layer.bias and not recurrent
    for form in library.forms:
        if (
            layer.cell.name in form.cells
            and is_registered(layer.cell)
            and bool(form.recurrent) == recurrent
            and form.embeds == embeds
            and not form.refused
            and (len(level) == 1 or library is TORCH)
        ):
            return form
    known = [f"{' or '.join(x.cells)} ({x.module})" for x in library.forms if not x.refused]
    raise InputError(
        f"{library.name} has no module for layer '{level[-1].name}', a {layer.cell.name} "
        f"{'with' if recurrent else 'without'} a connection to itself"
        f"{' that runs backward' * level[-1].backward}; there are {', '.join(known)}"
    )


def _places(
    library: Library, levels: list[list[Layer]], forms: list[Form], modules: Sequence[str]
) -> list[tuple[str, str]]:
    """What stands before and after the names of each level's arrays."""
    paths = listed(modules, "modules")
    runs: list[list[int]] = []  # levels of one module
    for i, form in enumerate(forms):
        if library is TORCH and i and form.recurrent and forms[i - 1].recurrent:
            runs[-1].append(i)
        else:
            runs.append([i])
    if len(paths) != len(runs):
        runs = [[i] for i in range(len(levels))]
    if len(paths) != len(runs) or len(set(paths)) != len(paths):
        names = ", ".join(level[0].name for level in levels)
        raise InputError(
            f"the modules are {shown(paths)}, for the layers {names}; name one for each, from the "
            "input up"
        )
    places = []
    for path, run in zip(paths, runs, strict=True):
        kinds = [(x.size, x.cell, x.bias) for i in run for x in levels[i]]
        if len(set(kinds)) > 1 or len({len(levels[i]) for i in run}) > 1:
            raise InputError(f"the layers of module '{path}' are not alike; name a module for each")
        before = f"{path}{library.separator}" if path else ""
        is_numbered = library is TORCH and bool(forms[run[0]].recurrent)
        places += [(before, f"_l{i}" if is_numbered else "") for i in range(len(run))]
    return places

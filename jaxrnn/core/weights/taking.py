"""Modules of another library, from the input up, become the layers of a network."""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.core.checks import listed, shown
from jaxrnn.core.errors import InputError
from jaxrnn.core.layers import INPUT, OUTPUT, Connection, Layer
from jaxrnn.core.network import Network
from jaxrnn.core.parameters import BIAS, Params
from jaxrnn.core.weights.forms import REVERSE, TORCH, Form, Library

BACKWARD = "_backward"  # so end the names of layers that belong to the one before


class _Held(NamedTuple):
    """The arrays of one layer, and what stands around their names."""

    before: str
    after: str
    arrays: dict[str, np.ndarray]

    def path(self, name: str) -> str:
        return f"{self.before}{name}{self.after}"


def take(
    library: Library, given: Mapping[str, Any], modules: Sequence[str], cell: str
) -> tuple[Network, Params]:
    """The modules as a network, from the input up."""
    paths = listed(modules, "modules")
    if not paths:
        raise InputError("no modules are named; name them from the input up")
    levels = [level for path in paths for level in _levels(library, given, path)]
    forward_names = [*(f"hidden{i}" for i in range(1, len(levels))), OUTPUT]
    layers, chain, loops, params = [], [], [], {}
    sizes: dict[str, int] = {}
    below = [INPUT]
    for level, forward in zip(levels, forward_names, strict=True):
        names = [forward, f"{forward}{BACKWARD}"][: len(level)]
        for name, held in zip(names, level, strict=True):
            form = _form(library, held, cell, lowest=not layers and len(levels) > 1)
            inputs, size = _sizes(form, held, sum(sizes.get(source, 0) for source in below))
            sizes |= {name: size} if layers else {INPUT: inputs, name: size}
            weights = form.read(held.arrays, cell)
            bias = weights.bias is not None
            layers.append(Layer(name, size, weights.cell, bias, name != forward))
            connections = [Connection(source, name) for source in below]
            ends = np.cumsum([sizes[source] for source in below])
            arrays = dict(zip(connections, np.split(weights.matrix, ends[:-1]), strict=True))
            chain += connections
            if weights.recurrent is not None:
                loops.append(Connection(name, name, 1))
                arrays[loops[-1]] = weights.recurrent
            params[name] = {connection.key: array for connection, array in arrays.items()}
            if bias:
                params[name][BIAS] = weights.bias
        below = names
    network = Network(sizes[INPUT], layers, chain + loops, below)
    return network, jax.tree.map(jnp.asarray, params)


def _levels(library: Library, given: Mapping[str, Any], module: str) -> list[list[_Held]]:
    """What lies in a module: in torch, its layers, of one direction or of both; else one layer."""
    before = f"{module}{library.separator}" if module else ""
    found: dict[str, dict[str, np.ndarray]] = {}
    paths = list(_flattened(given, library.separator))
    for path, value in paths:
        if path.startswith(before):
            name, after = path[len(before) :], ""
            if library is TORCH and (parts := re.fullmatch(r"(\w+?)(_l\d+(?:_reverse)?)", name)):
                name, after = parts.groups()
            if library is TORCH and name == "weight_hr":
                raise InputError(
                    f"'{path}' belongs to an LSTM with a proj_size, for which there is no cell; "
                    "take over one without"
                )
            found.setdefault(after, {})[name] = _array(path, value)
    if not found:
        folders = {path.rpartition(library.separator)[0] for path, _ in paths}
        known = ", ".join(f"'{folder}'" for folder in sorted(folders)) or "none"
        raise InputError(f"no array lies in the module '{module}'; those with arrays are {known}")
    if "" in found:  # no layers with numbers, or not those alone
        arrays = {f"{name}{after}": x for after, own in found.items() for name, x in own.items()}
        return [[_Held(before, "", arrays)]]
    ways = ("", REVERSE) if any(after.endswith(REVERSE) for after in found) else ("",)
    count = 1 + max(int(after.removesuffix(REVERSE)[2:]) for after in found)
    layers = [[f"_l{number}{way}" for way in ways] for number in range(count)]
    for after in itertools.chain(*layers):
        if after not in found:
            raise InputError(f"module '{module}' has no layer '{after[1:]}'; give all its layers")
    return [[_Held(before, after, found[after]) for after in level] for level in layers]


def _flattened(given: Any, separator: str, path: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(given, Mapping):
        raise InputError(f"the arrays are {shown(given)}; give a mapping from names to arrays")
    for name, value in given.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, separator, f"{path}{name}{separator}")
        else:
            yield f"{path}{name}", value


def _array(path: str, value: Any) -> np.ndarray:
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"'{path}' is no array of NumPy's or JAX's ({error}); make it one"
        ) from None
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise InputError(f"'{path}' is {array.dtype}; weights are floating-point numbers")
    return array


def _form(library: Library, layer: _Held, cell: str, lowest: bool) -> Form:
    """The one that has such arrays, and the gates that the recurrent matrix has room for."""
    names = set(layer.arrays)
    forms = [form for form in library.forms if names in (form.names, form.required)]
    if not forms:
        raise InputError(_unlike(library, layer))
    if len(forms) > 1 and not forms[0].recurrent:
        forms = [form for form in forms if form.embeds == lowest]
    elif len(forms) > 1:
        fitting = [form for form in forms if form.has_room(layer.arrays)]
        if not fitting:
            name = forms[0].recurrent
            raise InputError(
                f"'{layer.path(name)}' has the shape {list(layer.arrays[name].shape)}, "
                f"as of none of {', '.join(form.module for form in forms)}"
            )
        forms = fitting
    form = forms[0]
    if form.refused:
        raise InputError(f"'{layer.path(min(names))}' is a {form.module}'s, which {form.refused}")
    if form.gates == 1 and form.recurrent and cell not in form.cells:
        raise InputError(f"cell is {shown(cell)}; a {form.module} can be {' or '.join(form.cells)}")
    return form


def _unlike(library: Library, layer: _Held) -> str:
    """What is wrong with the names of a module's arrays, by those modules that are most like it."""
    names = set(layer.arrays)
    likeness = {
        form: (len(form.names & names), -len(form.required - names)) for form in library.forms
    }
    best = max(likeness.values())
    nearest = [form for form, alike in likeness.items() if alike == best and best[0]]
    if not nearest:
        known = ", ".join(form.module for form in library.forms if not form.refused)
        return (
            f"'{layer.path(min(names))}' is no array of a module that can be taken over ({known}); "
            "name the modules, from the input up, by what stands before their arrays"
        )
    form = nearest[0]
    missing = (form.names if names & (form.names - form.required) else form.required) - names
    wrong = f"lack '{layer.path(min(missing))}'" if missing else (
        f"have an unknown '{layer.path(min(names - form.names))}'"
    )  # fmt: skip
    return (
        f"the arrays {wrong}; {' or '.join(form.module for form in nearest)} has "
        f"{', '.join(sorted(form.names))}"
    )


def _sizes(form: Form, layer: _Held, below: int) -> tuple[int, int]:
    """How many inputs (those below, if not 0) and units it has, as the shapes of its arrays say."""
    first = form.matrix.split()[0]
    if layer.arrays[first].ndim != 2:
        shape = list(layer.arrays[first].shape)
        raise InputError(f"'{layer.path(first)}' has the shape {shape}; expected a matrix")
    inputs, size = form.sizes(layer.arrays)
    inputs = below or max(inputs, 1)
    for name, shape in form.shapes(inputs, size).items():
        if name in layer.arrays and layer.arrays[name].shape != shape:
            raise InputError(
                f"'{layer.path(name)}' has the shape {list(layer.arrays[name].shape)}; expected "
                f"{list(shape)}, for a {form.module} of {inputs} inputs and {size} units"
            )
    return inputs, size

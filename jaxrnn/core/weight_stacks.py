"""A stack of other libraries' modules as one network, and a network as such modules."""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.core.cells import is_registered
from jaxrnn.core.checks import listed, shown
from jaxrnn.core.errors import InputError
from jaxrnn.core.graph import INPUT, OUTPUT, Connection, feedforward_order
from jaxrnn.core.layers import Layer
from jaxrnn.core.network import Network
from jaxrnn.core.parameters import BIAS, Params, parameter_shapes
from jaxrnn.core.weight_forms import TORCH, Form, Library, Weights


class _Held(NamedTuple):
    """The arrays of one layer, matrices as here, and what stands around their names."""

    before: str
    after: str
    arrays: dict[str, np.ndarray]

    def path(self, name: str) -> str:
        return f"{self.before}{name}{self.after}"


def take(
    library: Library, given: Mapping[str, Any], modules: Sequence[str], cell: str
) -> tuple[Network, Params]:
    """The modules as a network, from the input up."""
    held = [layer for path in listed(modules, "modules") for layer in _held(library, given, path)]
    names = [*(f"hidden{i}" for i in range(1, len(held))), OUTPUT]
    layers, connections, params = [], [], {}
    sizes, source = [], INPUT
    for name, layer in zip(names, held, strict=True):
        form = _form(library, layer, cell)
        sizes.append(_sizes(library, form, layer, sizes[-1][1] if sizes else None))
        weights = form.read(layer.arrays, cell)
        layers.append(Layer(name, sizes[-1][1], weights.cell))
        params[name] = {BIAS: weights.bias}
        for connection, matrix in (
            (Connection(source, name), weights.matrix),
            (Connection(name, name, 1), weights.recurrent),
        ):
            if matrix is not None:
                connections.append(connection)
                params[name][connection.key] = matrix
        source = name
    return Network(sizes[0][0], layers, connections), jax.tree.map(jnp.asarray, params)


def _held(library: Library, given: Mapping[str, Any], module: str) -> list[_Held]:
    """What lies under a module's path: in torch, layers of one module; else one."""
    before = module + library.separator * bool(module)
    found: dict[str, dict[str, np.ndarray]] = {}
    paths = list(_flattened(given, library.separator))
    for path, value in paths:
        if path.startswith(before):
            name, after = path[len(before) :], ""
            if library is TORCH and (parts := re.fullmatch(r"(\w+_\w\w)(_l\d+)(_reverse)?", name)):
                name, after, reverse = parts.groups()
                if reverse or name == "weight_hr":
                    raise InputError(
                        f"'{path}' belongs to a module with "
                        f"{'bidirectional=True' if reverse else 'a proj_size'}, for which there is "
                        "no layer here; take over one without"
                    )
            found.setdefault(after, {})[name] = _array(library, path, value)
    if not found:
        raise InputError(
            f"no array lies under the module '{module}'; give one of those that hold some"
        )
    numbers = sorted(int(after[2:]) for after in found if after)
    if numbers != list(range(len(numbers))):
        raise InputError(
            f"the layers of module '{module}' are {', '.join(f'l{number}' for number in numbers)}; "
            "give all of them, from l0 on"
        )
    order = [*(f"_l{number}" for number in numbers), *([""] if "" in found else [])]
    return [_Held(before, after, found[after]) for after in order]


def _flattened(given: Any, separator: str, path: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(given, Mapping):
        raise InputError(f"the arrays are {shown(given)}; give a mapping from names to arrays")
    for name, value in given.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, separator, f"{path}{name}{separator}")
        else:
            yield f"{path}{name}", value


def _array(library: Library, path: str, value: Any) -> np.ndarray:
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"'{path}' is no array of NumPy's or JAX's ({error}); make it one"
        ) from None
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise InputError(f"'{path}' is {array.dtype}; weights are floating-point numbers")
    return array.T if library.transposed and array.ndim == 2 else array


def _form(library: Library, layer: _Held, cell: str) -> Form:
    """The one that has such arrays, and the gates that the recurrent matrix has room for."""
    names = set(layer.arrays)
    forms = [form for form in library.forms if names in (form.names, form.required)]
    if not forms:
        raise InputError(_unlike(library, layer))
    if len(forms) > 1:
        name = forms[0].recurrent
        rows, *columns = layer.arrays[name].shape
        fitting = [form for form in forms if columns == [form.gates * rows]]
        if not fitting:
            raise InputError(
                f"'{layer.path(name)}' has the shape {_shape(library, layer.arrays[name].shape)}, "
                f"as of none of {', '.join(form.module for form in forms)}"
            )
        forms = fitting
    form = forms[0]
    if form.refused:
        raise InputError(f"module '{layer.before}' is a {form.module}, which {form.refused}")
    if form.gates == 1 and form.recurrent and cell not in form.cells:
        raise InputError(f"cell is {shown(cell)}; a {form.module} can be {' or '.join(form.cells)}")
    return form


def _unlike(library: Library, layer: _Held) -> str:
    """What is wrong with the names of a module's arrays, by those modules that are most like it."""
    names = set(layer.arrays)
    likeness = {form: len(form.names & names) for form in library.forms}
    best = max(likeness.values())
    nearest = [form for form, alike in likeness.items() if alike == best > 0]
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


def _sizes(library: Library, form: Form, layer: _Held, below: int | None) -> tuple[int, int]:
    """How many inputs and units a layer has, once the shapes of all its arrays agree on that."""
    first = form.matrix.split()[0]
    if layer.arrays[first].ndim != 2:
        shape = _shape(library, layer.arrays[first].shape)
        raise InputError(f"'{layer.path(first)}' has the shape {shape}; expected a matrix")
    inputs, size = form.sizes(layer.arrays)
    inputs = inputs if below is None else below
    for name, shape in form.shapes(inputs, size).items():
        if name in layer.arrays and layer.arrays[name].shape != shape:
            raise InputError(
                f"'{layer.path(name)}' has the shape {_shape(library, layer.arrays[name].shape)}; "
                f"expected {_shape(library, shape)}, for a {form.module} of {inputs} inputs and "
                f"{size} units"
            )
    return inputs, size


def _shape(library: Library, shape: tuple[int, ...]) -> str:
    """As the library has it."""
    return str(list(shape[::-1] if library.transposed else shape))


def give(
    library: Library, network: Network, params: Params, modules: Sequence[str]
) -> dict[str, np.ndarray]:
    """The arrays, by their paths, of modules that together are the network."""
    if jax.tree.map(jnp.shape, dict(params)) != parameter_shapes(network):
        raise InputError("the parameters do not fit the network; give those that belong to it")
    result, source = {}, INPUT
    stack = _stack(network)
    forms = [_form_of(library, network, layer) for layer in stack]
    for layer, form, (before, after) in zip(
        stack, forms, _places(library, stack, forms, modules), strict=True
    ):
        own = {key: np.asarray(array) for key, array in params[layer.name].items()}
        matrix, recurrent = own[f"{source}@0"], own.get(f"{layer.name}@1")
        weights = Weights(layer.cell.name, matrix, recurrent, own[BIAS])
        for name, array in form.write(weights).items():
            # A copy, that others may write to.
            array = np.array(array.T if library.transposed else array, order="C")
            result[f"{before}{name}{after}"] = array
        source = layer.name
    return result


def _stack(network: Network) -> list[Layer]:
    """The layers from the input up."""
    names = feedforward_order([layer.name for layer in network.layers], network.connections)
    chain = {Connection(a, b) for a, b in itertools.pairwise([INPUT, *names])}
    others = set(network.connections) - {Connection(name, name, 1) for name in names}
    if others != chain or names[-1] != OUTPUT:
        odd = min(others ^ chain, default=names[-1])
        raise InputError(
            f"the network is no stack ({odd}); modules of other libraries are layers one above the "
            "other, each connected to itself with delay 1 or linear"
        )
    layers = [network.layer(name) for name in names]
    for layer in layers:
        if layer.backward or not layer.bias:
            raise InputError(
                f"layer '{layer.name}' {'runs backward' if layer.backward else 'has no bias'}; "
                "modules are written for layers that run forward, with a bias"
            )
    return layers


def _form_of(library: Library, network: Network, layer: Layer) -> Form:
    recurrent = Connection(layer.name, layer.name, 1) in network.connections
    for form in library.forms:
        fits = layer.cell.name in form.cells and is_registered(layer.cell) and not form.refused
        if fits and bool(form.recurrent) == recurrent:
            return form
    known = [f"{' or '.join(x.cells)} ({x.module})" for x in library.forms if not x.refused]
    raise InputError(
        f"{library.name} has no module for layer '{layer.name}', a {layer.cell.name} "
        f"{'with' if recurrent else 'without'} a connection to itself; there are {', '.join(known)}"
    )


def _places(
    library: Library, stack: list[Layer], forms: list[Form], modules: Sequence[str]
) -> list[tuple[str, str]]:
    """What stands before and after the names of each layer's arrays."""
    paths = listed(modules, "modules")
    runs: list[list[int]] = []  # layers of one module
    for i, form in enumerate(forms):
        if library is TORCH and i and form.recurrent and forms[i - 1].recurrent:
            runs[-1].append(i)
        else:
            runs.append([i])
    if len(paths) != len(runs):
        runs = [[i] for i in range(len(stack))]
    if len(paths) != len(runs) or len(set(paths)) != len(paths):
        raise InputError(
            f"the modules are {shown(paths)}, for the layers {', '.join(x.name for x in stack)}; "
            "name one for each, from the input up"
        )
    places = []
    for path, run in zip(paths, runs, strict=True):
        if len({(stack[i].size, stack[i].cell) for i in run}) > 1:
            raise InputError(
                f"the layers of module '{path}' differ in size or cell; name a module for each"
            )
        before = path + library.separator * bool(path)
        is_numbered = library is TORCH and bool(forms[run[0]].recurrent)
        places += [(before, f"_l{i}" if is_numbered else "") for i in range(len(run))]
    return places

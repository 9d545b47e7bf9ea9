"""What is refused at the door: what is no number, list, array, type or key; cells that cannot work.

A cell's results are checked where it is applied: under `jit` once, when its program is traced.
"""

import inspect
import operator
from collections.abc import Iterable, Mapping, Set
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Integer

from jaxrnn.core.errors import InputError


def shown(value: Any) -> str:
    """A value in an error's sentence: on one line, and short."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def shapes_of(tree: Any) -> Any:
    """Of every array in a tree; None of what is no array."""
    return jax.tree.map(lambda leaf: getattr(leaf, "shape", None), tree)


def whole_number(value: Any, what: str) -> int:
    """The int that a value is, NumPy's integers too; a float or a truth value is none."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise InputError(f"{what} is {shown(value)}; it must be a whole number") from None


def check_symbols(symbols: Integer[np.ndarray, "..."], size: int, what: str) -> None:
    """Refuses symbols out of [0, size); `what` names them in the sentence: "the inputs", say."""
    wrong = symbols[(symbols < 0) | (symbols >= size)]
    if wrong.size:
        raise InputError(
            f"{what} hold {wrong[0]}, but those of the network are 0 to {size - 1}; "
            "encode them with the vocabulary that it was made for"
        )


def check_lengths(lengths: Integer[np.ndarray, "..."], time: int, begins: str) -> None:
    """Refuses lengths out of [0, time]; `begins` opens the sentence: "a length is", say."""
    wrong = lengths[(lengths < 0) | (lengths > time)]
    if wrong.size:
        raise InputError(f"{begins} {wrong[0]}; those of inputs of {time} steps are 0 to {time}")


def listed(given: Any, what: str) -> list:
    """What was given as a list, or in another order that means something."""
    try:
        if isinstance(given, str | bytes | Mapping | Set):
            raise TypeError
        return list(iter(given))
    except TypeError:
        raise InputError(f"{what} are {shown(given)}; give a list of them") from None


def as_array(given: Any, what: str) -> jax.Array | np.ndarray:
    """JAX's arrays, traced ones too, as they are; all else as NumPy's, so that values are known."""
    if isinstance(given, jax.Array):
        return given
    try:
        array = np.asarray(given)
    except jax.errors.TracerArrayConversionError:  # a list of traced numbers
        array = jnp.asarray(given)
    except (TypeError, ValueError):
        array = None
    if array is None or not (array.dtype == bool or jnp.issubdtype(array.dtype, jnp.number)):
        raise InputError(
            f"{what} are {shown(given)}; give an array of numbers, or a list that makes one"
        )
    return array


def check_floating(dtype: Any, what: str) -> None:
    """Refuses what is no floating-point type."""
    try:
        if dtype is not None and jnp.issubdtype(jnp.dtype(dtype), jnp.floating):
            return
    except TypeError:
        pass
    raise InputError(f"{what} is {shown(dtype)}; give a floating-point type, such as float32")


def check_key(key: Any, what: str) -> None:
    """Refuses what is not one random key, typed or of 32-bit words."""
    if isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        if not key.shape:
            return
    elif getattr(key, "dtype", None) == np.uint32 and key.shape in ((2,), (4,)):
        return
    raise InputError(f"{what} is {shown(key)}; give one key, as from jax.random.key(0)")


def check_is_name(name: Any, whose: str) -> None:
    """Refuses what is no string."""
    if not isinstance(name, str):
        raise InputError(f"{whose} is called {shown(name)}; a layer's name is a string")


def check_cell(cell: Any) -> None:
    """Refuses a `Cell` that could not be run."""
    name = cell.name
    if not isinstance(name, str) or not name:
        raise InputError(f"a cell is called {shown(name)}; give it a name, a string")
    if cell.gates < 1 or cell.carries < 0:
        raise InputError(
            f"cell '{name}' has {cell.gates} gates and {cell.carries} carries; "
            "give it at least one gate and no negative number of carries"
        )
    if not 0 <= cell.own_gates < cell.gates:
        raise InputError(
            f"cell '{name}' has {cell.own_gates} own gates of {cell.gates}; leave at "
            "least one that connections add to"
        )
    if cell.carries_output and not cell.carries:
        raise InputError(f"cell '{name}' is said to carry its output but has no carries; give one")
    wanted = 1 if cell.first_drive is None else 2
    if cell.terms is not None and (cell.carries != wanted or cell.separate_sums):
        raise InputError(
            f"cell '{name}' has terms, {cell.carries} carries and separate_sums="
            f"{cell.separate_sums}; with terms a cell has one carry, two with first_drive, and its "
            "sums added up"
        )
    if cell.first_drive is not None and cell.terms is None:
        raise InputError(f"cell '{name}' has first_drive but no terms; give both, or leave it out")
    if cell.biases and len(cell.biases) != cell.gates:
        raise InputError(
            f"cell '{name}' has {cell.gates} gates but {len(cell.biases)} initial biases; "
            "give one for each gate, or none"
        )
    for bias in cell.biases:
        if not callable(bias) and not isinstance(bias, int | float | np.number):
            raise InputError(
                f"cell '{name}' has the initial bias {shown(bias)}; give a number, or a function "
                "of the layer's size"
            )
    arguments = ("feedforward", "recurrent", "carry") if cell.separate_sums else ("sums", "carry")
    check_takes(cell.apply, arguments, f"apply of cell '{name}'")
    for field in ("terms", "first_drive"):
        if getattr(cell, field) is not None:
            check_takes(getattr(cell, field), ("sums",), f"{field} of cell '{name}'")
    try:
        hash(cell)
    except TypeError as error:
        raise InputError(
            f"cell '{name}' cannot be part of a network ({error}); make its functions and biases "
            "of what can be hashed"
        ) from None


def check_takes(function: Any, arguments: tuple[str, ...], what: str) -> None:
    """Refuses what cannot be called with so many arguments."""
    if not callable(function):
        raise InputError(f"{what} is {shown(function)}; give a function of {_joined(arguments)}")
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):  # some of those written in C tell nothing
        return
    try:
        signature.bind(*arguments)
    except TypeError as error:
        raise InputError(
            f"{what} cannot be called with {_joined(arguments)} ({error}); make these its arguments"
        ) from None


def check_result(cell: Any, result: Any, arguments: tuple[Any, ...]) -> None:
    """Refuses what is not an output and as many carries as the cell says, alike in shape."""
    wanted = f"give (output, carry), the carry a tuple of {cell.carries}"
    if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[1], tuple):
        raise InputError(f"cell '{cell.name}' returns {_structure(result)}; {wanted}")
    output, carry = result
    if len(carry) != cell.carries:
        raise InputError(
            f"cell '{cell.name}' returns {len(carry)} carries but says carries={cell.carries}; "
            "make them equal"
        )
    for i, array in enumerate((output, *carry)):
        what = f"carry {i} of {cell.carries}" if i else "output"
        _check_alike(array, arguments, f"cell '{cell.name}' returns as its {what}")


def check_terms(name: str, terms: Any, sums: tuple[jax.Array, ...]) -> None:
    """Refuses what is not the decay and the drive of a linear cell, in the shape of its sums."""
    if not isinstance(terms, tuple | list) or len(terms) != 2:
        raise InputError(
            f"the terms of cell '{name}' are {_structure(terms)}; give (decay, drive), two arrays"
        )
    for what, array in zip(("decay", "drive"), terms, strict=True):
        _check_alike(array, (sums,), f"the terms of cell '{name}' have as their {what}")


def _check_alike(array: Any, arguments: tuple[Any, ...], what: str) -> None:
    given = jax.tree.leaves(arguments)
    dtypes = {each.dtype for each in given}
    wrong_type = len(dtypes) == 1 and getattr(array, "dtype", None) not in dtypes
    if getattr(array, "shape", None) != given[0].shape or wrong_type:
        raise InputError(
            f"{what} {_structure(array)} where {_structure(given[0])} is expected, as of each of "
            "its sums; a cell keeps shape and type"
        )


def _structure(value: Any) -> str:
    """Nested tuples and lists as they are, arrays by type and shape."""

    def described(leaf: Any) -> str:
        return f"{leaf.dtype}{list(leaf.shape)}" if hasattr(leaf, "dtype") else shown(leaf)

    if isinstance(value, list | tuple):
        return shown(jax.tree.map(described, value, is_leaf=lambda x: x is None)).replace("'", "")
    return described(value)


def _joined(arguments: Iterable[str]) -> str:
    return f"({', '.join(arguments)})"

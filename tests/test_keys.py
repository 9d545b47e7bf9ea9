"""Keys by name."""

import jax
import numpy as np

from jaxrnn.keys import derive


def numbers(keys) -> set[tuple[int, ...]]:
    return set(map(tuple, np.asarray(jax.random.key_data(keys)).reshape(-1, 2).tolist()))


def test_derived_keys_differ_from_each_other_and_from_what_split_and_fold_in_give():
    key = jax.random.key(0)
    folded = jax.vmap(lambda i: jax.random.fold_in(key, i))(np.arange(1000))
    others = numbers(key) | numbers(jax.random.split(key, 1000)) | numbers(folded)
    paths = [("parameters",), ("dropout",), ("parameters", "a"), ("a", "parameters"), ("",)]
    derived = [numbers(derive(key, *path)) for path in paths]
    assert len(set.union(*derived)) == len(paths)
    assert not set.union(*derived) & others


def test_a_derived_key_is_a_function_of_key_and_names():
    assert numbers(derive(jax.random.key(3), "a")) == numbers(derive(jax.random.key(3), "a"))
    assert numbers(derive(jax.random.key(3), "a")) != numbers(derive(jax.random.key(4), "a"))

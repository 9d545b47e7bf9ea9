"""Keys by name."""

import jax
import numpy as np

from experiments.laboratory.memory_problems import copying, first_symbol
from jaxrnn.core.keys import derive, generator
from jaxrnn.text import contiguous_lanes, random_chunks


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


def test_generators_of_two_purposes_never_share_numbers():
    """Each as often drawn from as any step ever is; with Philox's plain stream they would share."""
    streams = [
        generator(0, 7, purpose).integers(2**63, size=2000)
        for purpose in ("random chunks", "start of an epoch", "copying", "")
    ]
    streams.append(np.random.Generator(np.random.Philox(key=[0, 7])).integers(2**63, size=2000))
    assert len(set(np.concatenate(streams))) == 5 * 2000


def test_a_generator_is_a_function_of_seed_number_and_purpose():
    def drawn(*which) -> list[int]:
        return generator(*which).integers(2**63, size=3).tolist()

    assert drawn(1, 2, "a") == drawn(1, 2, "a")
    assert (
        len({tuple(drawn(*w)) for w in [(1, 2, "a"), (2, 1, "a"), (1, 2, "b"), (1, 3, "a")]}) == 4
    )


def test_what_is_drawn_for_one_seed_and_number_differs_from_purpose_to_purpose():
    """Of one stream, chunks' first place and an epoch's would be the same."""
    tokens = np.arange(10_001)
    epoch = [contiguous_lanes(tokens, batch=1, chunk=10, step=e * 1000, seed=3) for e in range(9)]
    chunk = [random_chunks(tokens, batch=1, chunk=1, step=e, seed=3) for e in range(9)]
    pairs = [(a.inputs[0, 0], b.inputs[0, 0]) for a, b in zip(epoch, chunk, strict=True)]
    assert not any(a == b for a, b in pairs)
    problems = (copying(3, batch=64), first_symbol(12, batch=64))
    bits = [p.data(3, 0, slice(None)).inputs[0] % 2 for p in problems]
    assert 16 < np.sum(bits[0] == bits[1]) < 48

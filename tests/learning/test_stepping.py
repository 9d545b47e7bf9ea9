"""What a training loop prepares, and when."""

from collections.abc import Iterator

from jaxrnn.learning.stepping import in_calls


def test_the_next_call_is_prepared_between_a_call_and_the_look_at_its_report():
    order = []

    def calls() -> Iterator[tuple[int]]:
        for i in range(2):
            order.append(f"prepare {i}")
            yield (i,)

    def steps(state: int, i: int) -> tuple[int, int]:
        order.append(f"call {i}")
        return state + 1, 10 * i

    for state, report, call in in_calls(steps, 5, calls()):
        order.append(f"look {state} {report} {call}")
    assert order == [
        "prepare 0", "call 0", "prepare 1", "look 6 0 (0,)", "call 1", "look 7 10 (1,)",
    ]  # fmt: skip

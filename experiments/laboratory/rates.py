"""Learning rates: which to try, and how many of those tried are good enough."""

import math

import numpy as np

FACTOR = 2.0  # from one learning rate to the next
GOOD = 0.1  # one that costs at most so many bits more than the best is good enough


def rates_around(middle: float, count: int) -> list[float]:
    """Learning rates, each `FACTOR` times the one before."""
    return [middle * FACTOR ** (i - count // 2) for i in range(count)]


def good_rates(tried: list[tuple[float, float | None]]) -> tuple[float, float]:
    """The ends of the range of learning rates around the best that are good enough.

    Args:
      tried: learning rates, rising, and the bits per character that each led to.

    Between those tried, bits are taken to be linear in the rate's logarithm; where all to one side
    are good enough, the range ends at the last.
    """
    rates = [rate for rate, _ in tried]
    bits = [math.inf if value is None else value for _, value in tried]
    best = int(np.argmin(bits))
    limit = bits[best] + GOOD

    def end(direction: int) -> float:
        i = best
        while 0 <= i + direction < len(rates):
            if bits[i + direction] > limit:
                share = (limit - bits[i]) / (bits[i + direction] - bits[i])
                return rates[i] * (rates[i + direction] / rates[i]) ** share
            i += direction
        return rates[i]

    return end(-1), end(1)

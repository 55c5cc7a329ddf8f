"""When a failure is tried again."""

from hypothesis import given
from hypothesis import strategies as st

from opensymphony.scheduler.backoff import retry_delay_ms


@given(st.integers(1, 200), st.floats(0, 1, exclude_max=True))
def test_a_delay_is_never_above_its_cap_nor_next_to_nothing(failures: int, jitter: float) -> None:
    """Half of the exponential value is fixed, the rest is drawn."""
    delay_ms = retry_delay_ms(failures, jitter, first_ms=10_000, max_ms=300_000)
    ceiling = min(10_000 * 2 ** (failures - 1), 300_000)
    assert ceiling / 2 <= delay_ms <= ceiling

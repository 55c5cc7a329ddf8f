"""Values of a ticket's head as plain trees."""

from opensymphony.services.files.front_matter import read
from opensymphony.services.files.yaml_values import Value


def test_whatever_type_yaml_sees_a_value_keeps_its_words() -> None:
    """`yes` is no truth, `1.10` no number; only what is empty is nothing."""
    head = read(b"---\na: yes\nb: 1.10\nc:\nd: {e: [f]}\n---\n")
    values = {name: entry.value for name, entry in head.entries.items()}
    assert (values["a"].text, values["b"].text) == ("yes", "1.10")
    assert values["c"].empty
    assert values["d"].kind == "map"
    assert values["d"].entries["e"].items[0].text == "f"
    assert isinstance(values["d"], Value)

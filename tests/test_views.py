"""What an operator sees travels as JSON."""

import msgspec

from opensymphony.scheduler import commands as c
from opensymphony.scheduler.view import explanation
from opensymphony.views import ActionAnswer, Explanation
from tests.scheduler.playbook import Playbook


def test_an_explanation_comes_back_from_json_as_it_was() -> None:
    """A door on the other side of the interface sees the same."""
    book = Playbook()
    book.ticket("A-1")
    book.until(c.AwaitTurn)
    said = explanation(book.state, book.entry("A-1"))
    assert msgspec.json.decode(msgspec.json.encode(said), type=Explanation) == said


def test_an_answer_comes_back_from_json_as_it_was() -> None:
    """With the id under which it can be asked for again."""
    answer = ActionAnswer(request_id="one", accepted=False, answer="it is paused already")
    assert msgspec.json.decode(msgspec.json.encode(answer), type=ActionAnswer) == answer

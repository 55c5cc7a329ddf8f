"""From a flat list to threads."""

from __future__ import annotations

from opensymphony.services.bitbucket.threads import Comment, thread_of, threads


def comment(number: int, parent: int | None = None, **fields: object) -> Comment:
    import msgspec

    sent = {"id": number, "content": {"raw": f"c{number}"}, "user": {"uuid": "{a}", "display_name": "A"}, **fields}
    return msgspec.convert({**sent, **({"parent": {"id": parent}} if parent else {})}, Comment)


def shape(*comments: Comment) -> list[list[str]]:
    return [[one.id for one in thread.comments] for thread in threads(comments, "")]


def test_answers_to_answers_are_of_the_first() -> None:
    """In whatever order the list comes."""
    assert shape(comment(4, 3), comment(3, 1), comment(1), comment(2)) == [["1", "3", "4"], ["2"]]


def test_what_is_pending_or_deleted_says_nothing() -> None:
    """A deleted answer in the middle of a chain still joins it."""
    found = shape(comment(1), comment(2, 1, deleted=True), comment(3, 2), comment(4, 1, pending=True))
    assert found == [["1", "3"]]


def test_an_answer_to_nothing_is_a_thread_of_its_own() -> None:
    """Also one that claims to answer itself or something later."""
    assert shape(comment(5, 2), comment(6, 6), comment(7, 8), comment(8)) == [["5"], ["6"], ["7"], ["8"]]


def test_a_place_is_where_the_host_says() -> None:
    """Of a multi-line comment its end; whether later commits have changed it, where that is told."""
    inline = {"path": "a.py", "from": None, "to": 9, "start_to": 3, "outdated": True}
    (found,) = threads([comment(1, inline=inline)], "")
    assert (found.path, found.line, found.old_line, found.is_outdated) == ("a.py", 9, None, True)
    (found,) = threads([comment(1, inline={"path": "a.py"})], "")
    assert (found.path, found.line, found.old_line, found.is_outdated) == ("a.py", None, None, False)


def test_a_deleted_account_is_nobody() -> None:
    """It is not ours, even where ours is not known."""
    (found,) = threads([comment(1, user=None)], "")
    assert (found.comments[0].author, found.comments[0].is_ours) == ("", False)


def test_ours_is_what_our_account_has_said() -> None:
    assert threads([comment(1)], "{a}")[0].comments[0].is_ours
    assert not threads([comment(1)], "{b}")[0].comments[0].is_ours


def test_a_long_text_is_cut_at_a_line() -> None:
    (found,) = threads([comment(1, content={"raw": "line\n" * 10_000})], "")
    assert len(found.comments[0].text) <= 30_000 and found.comments[0].text.endswith("line\n\n(cut)")


def test_a_thread_is_what_is_left_of_it() -> None:
    """An answer can be given to the first that is still there."""
    there = [comment(1, deleted=True), comment(2, 1), comment(3)]
    assert [one.id for one in thread_of("1", there)] == [2]
    assert thread_of("2", there) == [] and thread_of("9", there) == []

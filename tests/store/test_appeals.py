"""What is on the disk of an appeal."""

from __future__ import annotations

from sqlalchemy import event

from filterproxy.core.appeals import State


def test_no_word_of_an_appeal_is_on_the_disk(store, path, now):
    """Neither what was typed, by whomever, nor the secret stands in the file."""
    words = ["subject-word", "message-word", "contact-word", "note-word", "answer-word", "reference-word"]
    filed = store.file_appeal(words[0], now, message=words[1], contact=words[2], reference=words[5])
    store.move(filed.receipt, State.TRIAGED, "Ann", words[3], now, answer=words[4])
    content = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert filed.receipt.encode() in content
    assert [word for word in [*words, filed.secret] if word.encode() in content] == []


def test_a_wrong_secret_and_an_unknown_receipt_cost_the_same(store, now):
    """Both are one look-up: the statements that the database sees are the same."""
    filed = store.file_appeal("a.example", now)
    seen: list[list[str]] = []

    def look(receipt: str) -> None:
        seen.append([])
        assert store.appeal_by_secret(receipt, "wrong") is None

    event.listen(store._database._engine, "before_cursor_execute", lambda *given: seen[-1].append(given[2]))
    for receipt in (filed.receipt, "FP-0000-0000", "nonsense"):
        look(receipt)
    assert seen[0] == seen[1] == seen[2]
    assert len([statement for statement in seen[0] if statement.startswith("SELECT")]) == 1

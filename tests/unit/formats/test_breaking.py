import pytest

from formats.breaking import chunks, clean


def cut(text: str, max_width: int = 1000) -> list[str]:
    return [text[begin:stop] for begin, stop in chunks(text, max_width=max_width)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("two words", ["two", "words"]),
        ("state-of-the-art tool", ["state-", "of-", "the-", "art", "tool"]),
        ("a -- b - c", ["a", "--", "b", "-", "c"]),
        ("-5 degrees", ["-5", "degrees"]),
        ("don't stop.", ["don't", "stop."]),
        ("日本語", ["日", "本", "語"]),
        ("はい、そう。", ["は", "い、", "そ", "う。"]),
        ("「はい」と", ["「は", "い」", "と"]),
        ("ラーメン", ["ラー", "メ", "ン"]),
        ("私はJohn Smithです", ["私", "は", "John", "Smith", "で", "す"]),
        ("เก่า", ["เก่า"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("10\u00a0km away", ["10\u00a0km", "away"]),
        ("", []),
    ],
)
def test_text_is_cut_where_a_line_may_end(text: str, expected: list[str]):
    assert cut(text) == expected


def test_a_run_longer_than_a_line_is_cut_inside():
    assert cut("abcdefgh ij", max_width=3) == ["abc", "def", "gh", "ij"]


def test_an_accent_stays_with_its_letter():
    assert cut("abe\u0301d", max_width=3) == ["ab", "e\u0301d"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" a\t b\r\n\nc ", " a b c "),
        ("a\u2028b\x85c\x0bd", "a b c d"),
        ("a\x00b\x1bc", "abc"),
        ("10\u00a0km", "10\u00a0km"),
    ],
)
def test_cleaning_leaves_one_line_without_control_characters(text: str, expected: str):
    assert clean(text) == expected

"""Parsing JSON, JSON lines, TOML and CSV."""

import pytest

from natdeploy.documents import find_repeated, parse_json, parse_whole_number, read_csv_rows, read_json_lines, read_toml
from natdeploy.errors import InputError
from natdeploy.journal import Journal

_DEEP = "it is nested too deeply"


def test_a_repeated_key_of_an_object_is_refused():
    """Neither of two values is dropped, however deep they are."""
    assert parse_json('{"a": {"b": 1}, "b": [1]}') == {"a": {"b": 1}, "b": [1]}
    with pytest.raises(ValueError, match="key 'b' is repeated"):
        parse_json('{"a": [{"b": 1, "b": 1}]}')


def test_a_repeated_key_among_many_is_found():
    """A hundred thousand keys, of which the last is repeated, take no longer than reading them."""
    keys = [f'"{number}": 1' for number in range(200_000)]
    with pytest.raises(ValueError, match="key '199999' is repeated"):
        parse_json("{" + ", ".join([*keys, keys[-1]]) + "}")
    assert find_repeated("abc") is None


@pytest.mark.parametrize("text", ['{"a": 1e999}', '{"a": [-1e400]}', '{"a": NaN}', '{"a": -Infinity}'])
def test_numbers_of_json_are_finite(tmp_path, text):
    """A number that is no finite one is refused where it is read, in documents and in journals."""
    with pytest.raises(ValueError, match="number"):
        parse_json(text)
    (tmp_path / "journal.jsonl").write_text(f"{text}\n")
    with pytest.raises(InputError, match=r"line 1: not a journal event: .* number"):
        Journal(tmp_path / "journal.jsonl")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 100_000, _DEEP),
        ("[" * 70 + "]" * 70, _DEEP),
        ('{"a":' * 70 + "1" + "}" * 70, _DEEP),
        ("9" * 5000, r"Exceeds the limit \(4300 digits\) for integer string conversion: value has 5000 digits$"),
        ('{"a": ' + "9" * 30 + "}", "a is a number that is too large"),
        ("[" + "[]," * 200_000 + "1]", "it contains more than 200,000 values"),
        ('{"a": [' + '"b",' * 200_000 + '"b"]}', "it contains more than 200,000 values"),
    ],
)
def test_json_that_nothing_could_work_with_is_refused(text, reason):
    """Deep nesting and huge whole numbers are refused where they are read."""
    with pytest.raises(ValueError, match=reason):
        parse_json(text)
    assert parse_json("[" * 60 + "1" + "]" * 60)
    assert parse_json(str(2**63)) == 2**63


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("0", 0), ("007", 7), ("20", 20)),
        *((text, None) for text in ("21", "-1", "1.0", "", "\u00b2", "\u0663", "1_0", " 1", "9" * 5000)),
    ],
)
def test_counts_are_decimal_digits_in_a_range(text, value):
    """Signs, other scripts, thousands of digits and numbers out of range are no counts."""
    assert parse_whole_number(text, most=20) == value
    assert parse_whole_number("3", least=4) is None


def test_lines_of_json_are_told_by_number(tmp_path):
    """Each line has a place; the one that is damaged is named with what it should have been."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n"\xe2\x80\xa8"\n[')
    lines = read_json_lines(path, 100, "a thing")
    assert next(lines) == (f"{path}, line 1", {"a": 1})
    assert next(lines) == (f"{path}, line 2", "\u2028")
    with pytest.raises(InputError, match=r"a\.jsonl, line 3: not a thing: Expecting value"):
        next(lines)


def test_a_line_is_not_longer_than_a_document(tmp_path):
    """A line without an end is refused before all of it is read."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"1\n" + b" " * 10_000_000)
    with pytest.raises(InputError, match=r"line 2: not a thing: it is longer than 8,388,608 bytes"):
        list(read_json_lines(path, 2**30, "a thing"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a = ", "Invalid value"),
        ("a = " + "[" * 3000, _DEEP),
        ("a = " + "[" * 70 + "]" * 70, _DEEP),
        (".".join("a" * 100_000) + " = 1", _DEEP),
        ("[" + " . ".join(["a", r'"b \"c"', "'d'"] * 20) + "]", _DEEP),
        ("a" * 1_000_000, "after a key"),
        ("a = " + "9" * 5000, r"Exceeds the limit \(4300 digits\).* has 5000 digits$"),
        ("[a]\nb = " + "9" * 30, "b is a number that is too large"),
        ("a = [{b = nan}]", "b is nan, not a finite number"),
        ("a = -inf", "a is -inf, not a finite number"),
    ],
)
def test_toml_that_nothing_could_work_with_is_refused(tmp_path, text, reason):
    """Damage, deep nesting, keys of a thousand parts and numbers that are not finite are refused with the file."""
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(InputError, match=rf"a\.toml: not valid TOML: .*{reason}"):
        read_toml(tmp_path / "a.toml")


def test_dots_in_values_are_no_long_keys(tmp_path):
    """Only the parts of a key are counted, not dots in texts and numbers."""
    text = "a = '" + "A word. " * 100 + f"'\nb = {[0.5] * 100}\n[c.d]\ne.f = 1"
    (tmp_path / "a.toml").write_text(text)
    assert read_toml(tmp_path / "a.toml")["c"] == {"d": {"e": {"f": 1}}}


def test_rows_of_a_csv_file_have_their_line(tmp_path):
    """Comments may stand anywhere, cells may contain separators of other kinds, and every row has its own line."""
    (tmp_path / "a.csv").write_text("# x\na, b\n1,2\n# y\n\n3,\u2028\x0b4\n", encoding="utf-8")
    seen = []
    rows = list(read_csv_rows(tmp_path / "a.csv", lambda names, path: seen.append((names, path))))
    assert rows == [
        ({"a": "1", "b": "2"}, f"{tmp_path / 'a.csv'}, line 3"),
        ({"a": "3", "b": "4"}, f"{tmp_path / 'a.csv'}, line 6"),
    ]
    assert seen == [(["a", "b"], tmp_path / "a.csv")]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a\n# c\n1,2\n", "line 3: 2 columns instead of 1"),
        ("a\n# c\n" + "1" * 200_000, "line 3: not a CSV row: field larger than field limit"),
        ('a\n# c\n"1', "line 3: not a CSV row: unexpected end of data"),
    ],
)
def test_a_row_that_is_none_is_told_with_its_line(tmp_path, text, reason):
    """Too many cells, a huge one and an open quote are told with the line, comments counted."""
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=rf"a\.csv, {reason}"):
        list(read_csv_rows(tmp_path / "a.csv", lambda names, path: None))

"""Parsing YAML that others have written."""

import pytest

from natdeploy.errors import InputError
from natdeploy.io.yaml_documents import compose_yaml, construct_yaml, find_line


def test_content_and_lines_come_back():
    """A document gives its values, and the line of each key."""
    root = compose_yaml("a: 1\nb:\n  c: [x, .inf, null]\n", "t")
    assert construct_yaml(root, "t") == {"a": 1, "b": {"c": ["x", float("inf"), None]}}
    assert [find_line(root, keys) for keys in ([], ["a"], ["b", "c"], ["b", "d"], ["e"])] == [1, 1, 3, 2, 1]
    assert compose_yaml("", "t") is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: 1\nb: [\n", "line 3: the text is not valid YAML: did not find expected node content"),
        ("a: 1\nb: " + "[" * 100_000, "line 2: the text is not valid YAML: it is nested more than 20 deep"),
        ("- " * 100_000, "line 1: the text is not valid YAML: it is nested more than 20 deep"),
        ("a: &b [x]\nc: [*b, *b]", "line 2: the text is not valid YAML: it refers to another part"),
        ("a: !!python/name:os.system x", "line 1: the text is not valid YAML: it names a type, 'tag:yaml.org"),
        ("a: !!int ''", "line 1: the text is not valid YAML: it names a type"),
        ("a: !x [1]", "line 1: the text is not valid YAML: it names a type, '!x'"),
        ("? [a]\n: 1", "line 1: the text is not valid YAML: a key must be text"),
        ("a: 1\nb: {c: 1, c: 2}", "line 2: the text is not valid YAML: key 'c' is repeated"),
        ("a: 1\nb: [{c: 1, c: 2}]", "line 2: the text is not valid YAML: key 'c' is repeated"),
        ("a: \x01", "the text is not valid YAML: .*control characters are not allowed"),
        ("a: 1\n--- \nb: 2", "line 2: the text is not valid YAML: but found another document"),
        ("a: 1\nb: 2024-99-99", "line 2: the text is not valid YAML: month must be in 1..12"),
        ("a: [" + "1," * 200_000 + "]", "line 1: the text is not valid YAML: it has more than 200,000 parts"),
        ("a: 1\nb: 1" + ":59" * 100, "line 2: the text is not valid YAML: a number is too large"),
        ("a: 1\nb: [x, " + "9" * 5000 + "]", r"line 2: the text is not valid YAML: Exceeds the limit \(4300 digits\)"),
        ("a: 1\nb: =", "line 2: the text is not valid YAML: could not determine a constructor"),
        ("a: 1\n<<: 2", "line 2: the text is not valid YAML: could not determine a constructor"),
    ],
)
def test_yaml_that_nothing_could_work_with_is_refused(text, reason):
    """Damage, depth, references, types and values that are none are one error with line and reason."""
    with pytest.raises(InputError, match=f"^t(, |: ){reason}"):
        construct_yaml(compose_yaml(text, "t", "the text is "), "t", "the text is ")

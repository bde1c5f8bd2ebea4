"""YAML from outside: within the bounds, it is read as PyYAML reads it; beyond them, it is refused immediately."""

import random
import string
import time
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from exporters.hub_yaml import rule_blocks
from exporters.hub_yaml.bounded_yaml import MAX_YAML_CHARACTERS, MAX_YAML_DEPTH, MAX_YAML_VALUES
from exporters.hub_yaml.document import MAX_YAML_MISTAKES, BadValueError, Document, Node, TooLargeError
from exporters.hub_yaml.rule_blocks import MAX_PASTED_CHARACTERS, MAX_PASTED_VALUES, BlockError
from exporters.hub_yaml.schema import read


def plain(node: Node) -> Any:
    """Return a node as Python values: what safe_load returns for text, lists and mappings."""
    if node.is_mapping:
        return {name: plain(value) for name, value in node.mapping().items()}
    if node.is_null:
        return None
    try:
        return node.text()
    except BadValueError:
        return [plain(value) for value in node.sequence()]


KEYS = st.text(string.ascii_lowercase, min_size=1, max_size=3).map("k".__add__)
# Texts that no tag but str matches.
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8).map("t".__add__)
TREES = st.recursive(
    TEXTS | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


@given(
    tree=st.dictionaries(KEYS, TREES, min_size=1, max_size=4),
    flow=st.sampled_from([None, True, False]),
    style=st.sampled_from([None, '"', "'", "|", ">"]),
    indent=st.integers(1, 9),
    width=st.integers(5, 200),
)
def test_what_pyyaml_writes_is_read_back(
    tree: Any, flow: bool | None, style: str | None, indent: int, width: int
) -> None:
    written = yaml.safe_dump(
        tree, default_flow_style=flow, default_style=None, indent=indent, width=width, allow_unicode=True
    )
    document = Document()
    root = document.parse(written)
    assert root is not None
    assert plain(root) == yaml.safe_load(written) == tree
    assert document.problems == []


PIECES = (
    *(
        "a",
        "b",
        "c: ",
        "- ",
        "- ",
        ": ",
        "\n",
        "\n",
        "\n  ",
        "\n    ",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "&x ",
        "*x",
        "&y ",
    ),
    *(
        "*y",
        "<<: ",
        "<<: *x\n",
        "? ",
        "'",
        '"',
        "|\n",
        ">-\n",
        "# x\n",
        "!!str ",
        "~",
        "---\n",
        "\t",
        "\\",
        "%",
        "é",
    ),
)


@pytest.mark.slow
def test_any_text_is_read_as_pyyaml_reads_it_or_is_refused() -> None:
    chance = random.Random(1)
    read_alike = 0
    for _ in range(20_000):
        text = "".join(chance.choices(PIECES, k=chance.randint(1, 14)))
        document = Document()
        root = document.parse(text)
        try:
            expected = yaml.safe_load(text)
        except (yaml.YAMLError, RecursionError):
            # Errors that the nodes alone don't reveal, such as a list as a key, appear on reading.
            continue
        if root is None:
            raise AssertionError(f"PyYAML reads {text!r}: {document.problems}")
        try:
            found = plain(root)
        except (BadValueError, RecursionError):
            continue  # keys that aren't text, or a mapping inside itself: refused here
        if document.problems:
            continue  # a repeated key
        assert as_text(found or None) == as_text(expected or None), text
        read_alike += 1
    assert read_alike > 2_000


@pytest.mark.parametrize(
    "text",
    ["%YAML 1." + "9" * 5_000 + "\n---\n- regex: a", r'- regex: "\UFFFFFFFF"', r'- regex: "\U00110000"'],
)
def test_a_number_beyond_python_is_no_yaml(text: str) -> None:
    with pytest.raises(BlockError, match="This is not YAML"):
        rule_blocks.read(text)
    document = Document()
    assert document.parse(text) is None
    assert document.problems


def as_text(value: Any) -> Any:
    """Return the value with all keys as text; null as a key has two spellings."""
    if isinstance(value, dict):
        return {"" if key in {None, "~"} else str(key): as_text(each) for key, each in value.items()}
    return [as_text(each) for each in value] if isinstance(value, list) else value


def nested_merges(levels: int, times: int) -> str:
    lines = ["a0: &a0 {k: v}"]
    lines += [
        f"a{level}: &a{level}\n  <<: [{', '.join([f'*a{level - 1}'] * times)}]"
        for level in range(1, levels + 1)
    ]
    return "\n".join(lines)


TOO_LARGE = {
    "merges": nested_merges(9, 30) + "\n<<: *a9",
    "merged lists of merges": "- " + nested_merges(9, 30).replace("\n", "\n  ") + f"\n- <<: [{'*a9, ' * 30}]",
    "characters": "a" * (MAX_PASTED_CHARACTERS + 1),
    "values": "[" + "a," * MAX_PASTED_VALUES + "]",
    "aliases": "- &a [x]\n- [" + "*a," * MAX_PASTED_VALUES + "]",
    "flow depth": "[" * 50_000,
    "mapping depth": "{a: " * 20_000,
    "block depth": "- " * 40_000,
    "explicit keys": "? " * 40_000,
    "a large hub.yaml": "a" * (MAX_YAML_CHARACTERS + 1),
}


def cpu_seconds(call: Any) -> float:
    started = time.process_time()
    call()
    return time.process_time() - started


def refused(block: str) -> str:
    with pytest.raises(BlockError) as caught:
        rule_blocks.read(block)
    return str(caught.value)


@pytest.mark.parametrize("block", TOO_LARGE.values(), ids=TOO_LARGE)
def test_a_pasted_block_above_a_bound_is_refused_at_once(block: str) -> None:
    assert cpu_seconds(lambda: refused(block)) < 1
    assert any(words in refused(block) for words in ("at most", "more than", "nested too deeply")), refused(
        block
    )


@pytest.mark.parametrize("name", ["merges", "flow depth", "mapping depth", "block depth", "a large hub.yaml"])
def test_a_hub_yaml_above_a_bound_is_refused_with_that_alone(name: str) -> None:
    document = Document()
    assert read(document, "teams: \n  - " + TOO_LARGE[name].replace("\n", "\n    ")) == {}
    (problem,) = document.problems
    assert "more than" in problem.message or "at most" in problem.message


def test_values_count_each_time_that_an_alias_repeats_them() -> None:
    # Ten times ten times ten: short to write, but a thousand values to read.
    levels = "a: &a [1,1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]"
    document = Document(values=1_000)
    root = document.parse(levels)
    assert root is not None
    with pytest.raises(TooLargeError):
        plain(root)


def test_as_deep_as_the_bound_is_read() -> None:
    document = Document()
    root = document.parse("[" * (MAX_YAML_DEPTH - 1) + "a" + "]" * (MAX_YAML_DEPTH - 1))
    assert root is not None
    assert document.parse("[" * MAX_YAML_DEPTH + "a" + "]" * MAX_YAML_DEPTH) is None
    assert MAX_YAML_VALUES > MAX_PASTED_VALUES


def test_so_many_mistakes_are_listed_and_no_more() -> None:
    wrong = "- {" + ", ".join(f"regexx{number}: a" for number in range(2_000)) + "}"
    assert cpu_seconds(lambda: refused(wrong)) < 2
    lines = refused(wrong).splitlines()
    assert len(lines) == MAX_YAML_MISTAKES + 1
    assert "There may be more." in lines[-1]
    assert len(refused("- {" + "x" * 900 + ": a}")) < 500


TAGS = (
    "!!int",
    "!!float",
    "!!bool",
    "!!null",
    "!!timestamp",
    "!!binary",
    "!!str",
    "!!python/object:os.system",
    "!x",
    "",
)
SCALARS = (
    *(
        "",
        "many",
        "9" * 5_000,
        "1e999",
        ".nan",
        "-.inf",
        "0x" + "f" * 5_000,
        "0b1",
        "1:" * 500 + "1.5",
        "2026-99-99",
    ),
    *("18446744073709551616", "-1", "true", "~", "_", "+", "'", '""', "1_000", "0o7", "010"),
)


@pytest.mark.parametrize("reader", [Node.integer, Node.number, Node.boolean, Node.text])
def test_no_scalar_of_any_tag_breaks_a_reader(reader: Any) -> None:
    for tag in TAGS:
        for scalar in SCALARS:
            document = Document()
            root = document.parse(f"{tag} {scalar}".strip() or "''")
            if root is not None:
                value = document.attempt(reader, root)
                assert value is None or isinstance(value, str) or abs(value) < 2.0**65


@settings(max_examples=200)
@given(text=st.text(max_size=40))
def test_whatever_is_pasted_is_rules_or_a_problem(text: str) -> None:
    try:
        found = len(rule_blocks.read(text))
    except BlockError as error:
        found = len(str(error))
    assert found

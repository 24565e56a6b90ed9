"""The locator finds in a TOML text what `tomllib` found in it, and where it stands."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepupd.store.toml_positions import find_offsets, locate

TEXT = '''\
# a comment with [brackets] = "and quotes"
top = 1
"quo\\u0074ed".dotted . 'key' = """
[not.a.header]
x = "" not a key \\""""  # after three quotes

[[rule]]
name = "one"  # first
methods = [ "a", # why
   'b]', [ 1, 2 ],
]
[[rule]]
name = "two"
[rule.sub]
deep = { x = 1, y.z = { w = [ { v = 2 } ] } }
[risk]
ladder = [ { score = 30, require = "touch" },
           { score = 90, deny = true } ]
[risk.weights]
when = 1979-05-27 07:32:00
end = 1'''


@pytest.mark.parametrize(
    ("path", "line", "column"),
    [
        (("top",), 2, 1),
        (("quoted", "dotted", "key"), 3, 24),
        (("rule", 0), 7, 3),
        (("rule", 0, "name"), 8, 1),
        (("rule", 0, "methods", 1), 10, 4),
        (("rule", 0, "methods", 2, 1), 10, 15),
        (("rule", 1), 12, 3),
        (("rule", 1, "sub", "deep", "y", "z", "w", 0, "v"), 15, 33),
        (("risk", "ladder", 1, "deny"), 18, 26),
        (("risk", "weights", "end"), 21, 1),
        (("rule", 1, "missing"), 12, 3),
        (("missing",), 1, 1),
    ],
)
def test_a_path_is_found_where_it_stands(path, line, column):
    assert locate(TEXT, path) == (line, column)


keys = st.sampled_from(
    ["a", "b-c", "d_e", "1", "rule", "two words", "ü", "", 'q"q', "t.t", "#", "="]
)
scalars = st.one_of(
    st.integers(-9, 99), st.booleans(), st.floats(allow_nan=False), st.text(max_size=8)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)
tables = st.dictionaries(keys, values, max_size=4)


def write_text(text, *, is_long):
    letters = "".join(
        f"\\U{ord(letter):08x}" if letter in '"\\' or not letter.isprintable() else letter
        for letter in text
    )
    return f'"""{letters}"""' if is_long else f'"{letters}"'


def write_value(value, draw):
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)
        case str():
            return write_text(value, is_long=draw(st.booleans()))
        case list():
            gap = draw(st.sampled_from(["", " ", "\n  ", " # ]\n"]))
            items = [write_value(item, draw) + gap for item in value]
            return f"[{gap}{(',' + gap).join(items)}]"
    pairs = [f"{write_text(k, is_long=False)} = {write_value(v, draw)}" for k, v in value.items()]
    return "{ " + ", ".join(pairs) + " }"


@st.composite
def documents(draw):
    """Write a TOML text with top-level keys, arrays of tables and tables."""
    lines = []
    for key, value in draw(tables).items():
        lines.append(f"{write_text(key, is_long=False)} = {write_value(value, draw)} # [x]")
    for _ in range(draw(st.integers(0, 3))):
        lines.append('[[ "the rules" ]]')
        for key, value in draw(tables).items():
            lines.append(f"{write_text(key, is_long=False)}= {write_value(value, draw)}")
    lines.append("[last.'one']")
    lines.append("x.y = 1")
    return draw(st.sampled_from(["\n", "\n\n", "\n  "])).join(lines)


def list_paths(value, path=()):
    children = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, child in children:
        yield (*path, key)
        yield from list_paths(child, (*path, key))


@given(documents())
def test_the_locator_and_the_parser_see_the_same_keys(text):
    """Every path of the parsed document has a place, and there is no place without a path."""
    assert set(find_offsets(text)) == set(list_paths(tomllib.loads(text)))

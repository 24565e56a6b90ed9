"""Policy and settings: text becomes exactly what was meant, or an error that says where."""

import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepupd.core.errors import ConfigError
from stepupd.core.model import Level, Method, Requirement, Scope
from stepupd.core.policy import Policy, Rule, RuleEffect, Rung
from stepupd.store.configuration import load_policy, load_settings
from stepupd.store.policy_file import make_policy
from stepupd.store.settings import Settings
from stepupd.store.toml_files import parse_document

EXAMPLES = Path(__file__).parents[2] / "examples"
HEAD = '[[rule]]\nname = "a"\naction = "pam:sudo"\n'


def read(*texts):
    documents = [
        parse_document(f"/etc/{number}.toml", text.encode()) for number, text in enumerate(texts)
    ]
    return make_policy(tuple(documents))


def test_a_rule_says_everything_it_can_say():
    policy = read(
        HEAD + 'subject = "ada"\ngroup = ["ops", "wheel*"]\ncommand = "*rm*"\nrequire = "verify"\n'
        'max_age = "10m"\nscope = "session"\nmethods = ["fido2"]\nattempts = 5\ndeadline = "1m"\n'
    )

    assert policy.rules == (
        Rule(
            name="a",
            actions=("pam:sudo",),
            subjects=("ada",),
            groups=("ops", "wheel*"),
            commands=("*rm*",),
            effect=RuleEffect.REQUIRE,
            requirement=Requirement(
                level=Level.VERIFY,
                max_age=600,
                scope=Scope.SESSION,
                methods=frozenset({Method.FIDO2}),
                attempts=5,
                deadline=60,
            ),
        ),
    )


def test_what_a_rule_leaves_out_is_the_models_default():
    (rule,) = read(HEAD + 'require = "touch"').rules

    assert rule.requirement == Requirement(level=Level.TOUCH)


@pytest.mark.parametrize("key", ["allow", "deny"])
def test_allow_and_deny_ask_for_nothing(key):
    (rule,) = read(HEAD + f"{key} = true").rules

    assert rule == Rule("a", ("pam:sudo",), RuleEffect(key))


@pytest.mark.parametrize("level", Level)
def test_every_level_has_its_word(level):
    (rule,) = read(HEAD + f'require = "{level.word}"').rules

    assert rule.requirement.level is level


@pytest.mark.parametrize(
    ("written", "seconds"), [("90", 90), ("1.5", 1.5), ('"30s"', 30), ('"2m"', 120), ('"1h"', 3600)]
)
def test_durations(written, seconds):
    text = HEAD + f'require = "touch"\nscope = "subject"\nmax_age = {written}'

    assert read(text).rules[0].requirement.max_age == seconds


def test_risk_is_read():
    policy = read(
        '[risk]\nladder = [{ score = 30, require = "touch" }, { score = 90, deny = true }]\n'
        "[risk.weights]\nremote = 25"
    )

    assert policy.ladder == (Rung(30, Level.TOUCH), Rung(90, None))
    assert policy.weights == {"remote": 25}


def test_models_are_read_in_either_case():
    model = "2fc0579f-8113-47ea-b116-bb5a8db9202a"
    other = "EE882879-721C-4913-9775-3DFCCE97072A"
    policy = read(f'[risk]\ndenied_models = ["{model}", "{model.upper()}", "{other}"]')

    expected = {bytes.fromhex(one.replace("-", "")) for one in (model, other)}
    assert policy.denied_models == expected
    assert read("[risk]").denied_models == read("").denied_models == frozenset()


@pytest.mark.parametrize(
    "model",
    [
        "",
        "*",
        "2fc0579f811347eab116bb5a8db9202a",
        "{2fc0579f-8113-47ea-b116-bb5a8db9202a}",
        "urn:uuid:2fc0579f-8113-47ea-b116-bb5a8db9202a",
        "2fc0579f-8113-47ea-b116-bb5a8db9202",
        "2fc0579f-8113-47ea-b116-bb5a8db9202g",
        "2fc0579f-8113-47ea-b116-bb5a8db9202a ",
        "\u0662fc0579f-8113-47ea-b116-bb5a8db9202",
        "YubiKey 5 NFC",
    ],
)
def test_a_model_is_the_whole_uuid_and_nothing_else(model):
    """A model that is written wrong would be trusted; so it is refused, where it stands."""
    with pytest.raises(ConfigError, match=r"^/etc/0.toml:3:2: .* is no AAGUID"):
        read(f'[risk]\ndenied_models = ["2fc0579f-8113-47ea-b116-bb5a8db9202a",\n "{model}"]')


REQUIRE = HEAD + 'require = "touch"\n'
SCOPED = REQUIRE + 'scope = "session"\n'


@pytest.mark.parametrize(
    ("text", "line", "column", "word"),
    [
        ("rule = 3", 1, 1, "list"),
        ("[[rules]]", 1, 3, "unknown key 'rules'"),
        (HEAD + 'where = "true"\nallow = true', 4, 1, "unknown key 'where'"),
        (HEAD, 1, 3, "exactly one"),
        (HEAD + 'allow = true\nrequire = "touch"', 1, 3, "exactly one"),
        (HEAD + "allow = false", 4, 1, "true, or left out"),
        (HEAD + "deny = false", 4, 1, "true, or left out"),
        (HEAD + "allow = 1", 4, 1, "bool"),
        (HEAD + 'require = "tuch"', 4, 1, "no level"),
        (HEAD + 'require = ""', 4, 1, "no level"),
        (HEAD + 'require = "TOUCH"', 4, 1, "no level"),
        (HEAD + "allow = true\nattempts = 3", 5, 1, "belongs to a rule with `require`"),
        (HEAD + 'allow = true\ncommand = "x"', 5, 1, "never for less"),
        ('[[rule]]\nname = "a"\nallow = true', 1, 3, "missing key `action`"),
        ('[[rule]]\naction = "a"\nallow = true', 1, 3, "missing key `name`"),
        ('[[rule]]\nname = ""\naction = "a"\nallow = true', 2, 1, "a name has"),
        ('[[rule]]\nname = "a\\n"\naction = "a"\nallow = true', 2, 1, "a name has"),
        ('[[rule]]\nname = "a"\naction = []\nallow = true', 3, 1, "the list is empty"),
        ('[[rule]]\nname = "a"\naction = ""\nallow = true', 3, 1, "matches nothing"),
        ('[[rule]]\nname = "a"\naction = ["x", 1]\nallow = true', 3, 16, "str"),
        (HEAD + "group = []\nallow = true", 4, 1, "the list is empty"),
        (REQUIRE + 'max_age = "10m"', 5, 1, "give both"),
        (REQUIRE + 'scope = "session"', 5, 1, "give both"),
        (REQUIRE + 'scope = "request"\nmax_age = 5', 6, 1, "give both"),
        (REQUIRE + 'scope = "global"\nmax_age = 5', 5, 1, "none of request, session, subject"),
        (SCOPED + 'max_age = "10 m"', 6, 1, "no duration"),
        (SCOPED + 'max_age = "25h"', 6, 1, "no duration"),
        (SCOPED + "max_age = -1", 6, 1, "no duration"),
        (SCOPED + "max_age = inf", 6, 1, "no duration"),
        (SCOPED + "max_age = nan", 6, 1, "no duration"),
        (SCOPED + "max_age = true", 6, 1, "bool"),
        (REQUIRE + "deadline = 4", 5, 1, "no duration"),
        (REQUIRE + 'deadline = "121s"', 5, 1, "no duration"),
        (REQUIRE + "attempts = 0", 5, 1, "from 1 to 5"),
        (REQUIRE + "attempts = 6", 5, 1, "from 1 to 5"),
        (REQUIRE + "methods = []", 5, 1, "the list is empty"),
        (REQUIRE + 'methods = ["fido2", "u2f"]', 5, 21, "none of fido2"),
        ("[risk]\nladder = [{ score = 1 }]", 2, 11, "exactly one"),
        ('[risk]\nladder = [{ score = 0, require = "touch" }]', 2, 13, "from 1"),
        ('[risk]\nladder = [{ score = 1, require = "x" }]', 2, 24, "no level"),
        ("[risk]\nladder = [{ score = 1, deny = false }]", 2, 24, "left out"),
        (
            '[risk]\nladder = [{ score = 9, require = "touch" },\n{ score = 9, deny = true }]',
            3,
            3,
            "scores climb",
        ),
        (
            '[risk]\nladder = [{ score = 1, deny = true },\n{ score = 9, require = "touch" }]',
            3,
            1,
            "asks for more",
        ),
        ('[risk]\ndenied_models = "x"', 2, 1, "list"),
        ("[risk]\ndenied_models = [7]", 2, 18, "str"),
        ("[risk.weights]\nremtoe = 1", 2, 1, "there is no signal 'remtoe'"),
        ("[risk.weights]\nremote = -1", 2, 1, "whole number"),
        ("[risk.weights]\nremote = true", 2, 1, "whole number"),
        ("a = ", 1, 4, "Invalid value"),
        ("a = 1\na = 2", 2, 6, "Cannot overwrite"),
        (HEAD + "name = 'b'", 4, 11, "Cannot overwrite"),
        ('a = "\n', 1, 6, "Illegal character"),
        ("a = [\n1,\n", 2, 3, "Invalid value"),
    ],
)
def test_what_is_wrong_is_shown_where_it_is(text, line, column, word):
    with pytest.raises(ConfigError) as caught:
        read(text)

    assert word in str(caught.value)
    assert str(caught.value).startswith(f"/etc/0.toml:{line}:{column}: ")
    assert (caught.value.line, caught.value.column) == (line, column)


def test_two_rules_of_one_name_are_refused_where_the_second_stands():
    with pytest.raises(ConfigError) as caught:
        read(HEAD + "allow = true", "\n" + HEAD + "deny = true")

    assert str(caught.value).startswith("/etc/1.toml:3:1: ")
    assert "/etc/0.toml" in str(caught.value)


def test_risk_stands_in_one_file():
    with pytest.raises(ConfigError, match=r"^/etc/1.toml:1:2: "):
        read("[risk]", "[risk]")


def test_bytes_that_are_no_utf_8_are_shown_where_they_are():
    """Columns count characters, not bytes."""
    with pytest.raises(ConfigError, match=r"^f:2:3: "):
        parse_document("f", b"a = 1\nb\xc3\xa4\xff")


def test_windows_line_ends_count_as_one():
    with pytest.raises(ConfigError, match=r":2:1: unknown key 'b'"):
        read("rule = []\r\nb = 1\r\n")


def test_nesting_has_an_end():
    with pytest.raises(ConfigError, match="nested too deeply"):
        read("a = " + "[" * 100_000)


snippets = st.lists(
    st.sampled_from(
        [
            *("[[rule]]\n", "[risk]\n", "[risk.weights]\n", "name", "action", "require", "max_age"),
            *(
                "ladder",
                "scope",
                "allow",
                "deny",
                "methods",
                "score",
                "remote",
                "=",
                " = ",
                ",",
                "\n",
            ),
            *(
                '"a"',
                '"touch"',
                '"session"',
                "true",
                "false",
                "1",
                "5",
                "[",
                "]",
                "{",
                "}",
                ".",
                "#",
            ),
            *('"10m"', "'", '"""', "\\", "é", "\r\n", "\t", "nan", "1979-05-27"),
        ]
    ),
    max_size=40,
).map("".join)


def read_or_refuse(content):
    """Return the policy, or the error it is refused with."""
    try:
        return make_policy((parse_document("f", content),))
    except ConfigError as error:
        return error


def is_fine(result, text):
    if isinstance(result, Policy):
        return True
    return 1 <= result.line <= text.count("\n") + 1 and result.column >= 1


@given(snippets | st.text())
def test_any_text_is_a_policy_or_an_error_inside_the_file(text):
    result = read_or_refuse(text.encode("utf-8", "surrogatepass"))

    assert is_fine(result, text)


@given(st.binary())
def test_any_bytes_are_a_policy_or_an_error_inside_the_file(content):
    result = read_or_refuse(content)

    assert is_fine(result, content.decode("utf-8", "replace"))


def test_files_are_read_in_order_and_the_digest_names_them_all(tmp_path):
    (tmp_path / "policy.d").mkdir()
    digests = set()
    (tmp_path / "policy.toml").touch()
    rule = '[[rule]]\nname = "{0}"\naction = "{0}"\nallow = true\n'
    for name in ("policy.d/20.toml", "policy.toml", "policy.d/10.toml"):
        (tmp_path / name).write_text(rule.format(name), encoding="utf-8")
        digests.add(load_policy(tmp_path).digest)
    for ignored in ("policy.d/.hidden.toml", "policy.d/30.toml~", "policy.d/README"):
        (tmp_path / ignored).write_text("not read", encoding="utf-8")

    policy = load_policy(tmp_path)

    names = [rule.name for rule in policy.rules]
    assert names == ["policy.toml", "policy.d/10.toml", "policy.d/20.toml"]
    assert len(digests) == 3
    assert policy.digest in digests
    assert len(policy.digest) == 64


def test_no_policy_file_at_the_start_denies_everything_and_says_so(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        policy = load_policy(tmp_path)

    assert policy.rules == ()
    assert "everything is denied" in caplog.text


def test_no_policy_file_at_a_reload_is_an_error(tmp_path):
    """So the old policy stays while an editor replaces the file."""
    with pytest.raises(ConfigError):
        load_policy(tmp_path, is_reload=True)


def test_a_folder_without_its_main_file_is_an_error(tmp_path):
    """What the missing file denied must not be open because it is gone."""
    (tmp_path / "policy.d").mkdir()
    (tmp_path / "policy.d" / "a.toml").write_text(HEAD + "allow = true", encoding="utf-8")

    with pytest.raises(ConfigError):
        load_policy(tmp_path)


def test_an_empty_policy_is_a_policy_without_rules(tmp_path):
    (tmp_path / "policy.toml").write_bytes(b"")

    assert load_policy(tmp_path, is_reload=True).rules == ()


def test_a_file_of_more_than_a_mebibyte_is_refused(tmp_path):
    (tmp_path / "policy.toml").write_bytes(b"#" * (1 << 20) + b"#")

    with pytest.raises(ConfigError, match="larger than"):
        load_policy(tmp_path)


def test_the_examples_load():
    policy = load_policy(EXAMPLES)

    assert policy.rules[0].name == "sudo"
    assert policy.ladder[-1].level is None
    assert load_settings(EXAMPLES) == Settings()


def test_a_first_key_is_roots_unless_the_administrator_says_otherwise(tmp_path):
    """In a word that leaves no doubt; "yes" is none."""
    file = tmp_path / "stepupd.toml"
    assert not load_settings(tmp_path).is_first_key_open
    for written, is_open in (("false", False), ("true", True)):
        file.write_text(f"[enrolment]\nown_first_key = {written}\n")
        assert load_settings(tmp_path).is_first_key_open is is_open
    file.write_text('[enrolment]\nown_first_key = "yes"\n')
    with pytest.raises(ConfigError):
        load_settings(tmp_path)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("[[rules]]", "did you mean rule?"),
        (HEAD + 'reqire = "touch"', "did you mean require?"),
        ("[risk]\nlader = []", "did you mean ladder?"),
        ("[risk]\nladder = [{ scor = 3 }]", "did you mean score?"),
        ("[risk.weights]\nremot = 3", "did you mean remote?"),
        ("[risk.weights]\nzzz = 3", "stepupd-policy(5) lists them"),
        (HEAD + 'zzz = "touch"', ""),
    ],
)
def test_a_misspelt_name_is_answered_with_the_nearest(text, hint):
    """Of the table that it stands in."""
    with pytest.raises(ConfigError) as caught:
        make_policy((parse_document("policy.toml", text.encode()),))

    assert caught.value.hint == hint

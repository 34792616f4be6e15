"""`vestibule routes test`: a table of expected decisions, what differs, and faults of the table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.gateway.cli.routes.policy_folder import GOOD, prepare
from tests.gateway.commands import vestibule, vestibule_process
from tests.markdown import blocks_of
from tests.repository import ROOT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return prepare(tmp_path)


def run(folder: Path, policy: str, *arguments: str) -> tuple[int, str, str]:
    (folder / "policy.toml").write_text(policy)
    done = vestibule("routes", "test", "policy.toml", *arguments, folder=folder)
    return done.returncode, done.stdout, done.stderr


def test_decisions_as_expected_give_one_line_and_0(folder: Path) -> None:
    code, out, err = run(folder, GOOD)
    assert (code, out) == (0, "ok: 13 cases\n"), out
    assert err == f"configuration: {folder / 'vestibule.toml'}\n"


def test_the_command_works_as_a_process(folder: Path) -> None:
    (folder / "policy.toml").write_text(GOOD)
    done = vestibule_process("routes", "test", "policy.toml", folder=folder)
    assert (done.returncode, done.stdout) == (0, "ok: 13 cases\n")


def test_another_result_is_shown_with_the_rule_that_decided(folder: Path) -> None:
    case = '[[cases]]\nname = "viewers read"\nurl = "/api/x"\nwho = "bob"\nexpect = "allowed"\n'
    code, out, _ = run(folder, "[people.bob]\nroles = ['viewer']\n" + case)
    assert code == 1
    assert out.splitlines() == [
        'cases[0] "viewers read": GET apps.example.com/api/x as bob',
        "  - result  allowed",
        "  + result  refused: 403 forbidden (require.roles_any)",
        '    require: roles_any = ["analyst"]; has the roles ["viewer"]',
        "",
        "1 of 1 cases differ",
    ]


def test_a_hole_in_the_rules_is_shown_with_what_let_the_person_in(folder: Path) -> None:
    case = '[people.ada]\nroles = ["analyst"]\n[[cases]]\nurl = "/api/x"\nwho = "ada"\nexpect = 403\n'
    code, out, _ = run(folder, case)
    assert code == 1
    assert "  - result  403\n  + result  allowed\n" in out
    assert '    require: roles_any = ["analyst"]; has the roles ["analyst"]\n' in out


def test_another_route_is_shown(folder: Path) -> None:
    code, out, _ = run(folder, '[[cases]]\nurl = "/apiary"\nexpect = 401\nroute = "api"\n')
    assert code == 1
    assert "  - route   api\n  + route   pages\n" in out
    assert "result" not in out


def test_a_refusal_never_counts_as_allowed_whatever_code_is_expected(folder: Path) -> None:
    people = '[people.ada]\nroles = ["analyst"]\n'
    for expected in ("200", "0", '"login_required"'):
        case = f'[[cases]]\nurl = "/api/x"\nwho = "ada"\nexpect = {expected}\n'
        assert run(folder, people + case)[0] == 1, expected


def test_several_callers_of_a_case_count_as_several(folder: Path) -> None:
    case = '[people.ada]\n[people.eve]\n[[cases]]\nurl = "/"\nwho = ["ada", "eve", "nobody"]\nexpect = "allowed"\n'
    code, out, _ = run(folder, case)
    assert code == 1
    assert "GET apps.example.com/ as nobody" in out
    assert out.endswith("1 of 3 cases differ\n")


def test_routes_without_a_case_are_named_aside(folder: Path) -> None:
    _, _, err = run(folder, '[[cases]]\nurl = "/api/x"\nexpect = 401\n')
    assert "no case for: pages" in err


def test_json_has_every_case(folder: Path) -> None:
    code, out, _ = run(folder, '[[cases]]\nurl = "/api/x"\nexpect = 403\n', "--json")
    (found,) = json.loads(out)
    assert code == 1
    assert (found["ok"], found["expected"]["result"], found["found"]["code"]) == (False, "403", "login_required")


FAULTS = {
    "an empty file": ("", "no [[cases]]"),
    "people without a case": ("[people.ada]\n", "no [[cases]]"),
    "no TOML": ("[[cases]\n", "not readable as TOML"),
    "an unknown table": (
        "[peeple.ada]\n[[cases]]\nurl = '/'\nexpect = 401\n",
        "peeple: unknown key; did you mean people?",
    ),
    "an unknown key of a case": ("[[cases]]\nurl = '/'\nexpct = 401\n", "cases[0].expct: unknown key; did you mean"),
    "an unknown key of a person": ("[people.ada]\nrole = ['x']\n[[cases]]\nurl = '/'\nexpect = 401\n", "roles?"),
    "a case without a result": ("[[cases]]\nurl = '/'\n", "cases[0].expect: missing"),
    "an empty result": ("[[cases]]\nurl = '/'\nexpect = ''\n", "cases[0].expect"),
    "a case without an address": ("[[cases]]\nexpect = 401\n", "cases[0].url: missing"),
    "roles that are no list": ("[people.ada]\nroles = 'x'\n[[cases]]\nurl = '/'\nexpect = 401\n", "people.ada.roles"),
    "an unknown person": ("[people.ada]\n[[cases]]\nurl = '/'\nwho = 'adaa'\nexpect = 401\n", "did you mean ada?"),
    "an unknown route": ("[[cases]]\nurl = '/'\nexpect = 401\nroute = 'page'\n", "did you mean pages?"),
    "an address that is none": ("[[cases]]\nurl = 'x'\nexpect = 401\n", "cases[0]: 'x' is no address"),
    "a person called nobody": ("[people.nobody]\n[[cases]]\nurl = '/'\nexpect = 401\n", "use another name"),
    "an unknown provider": (
        "[people.a]\nprovider = 'crop'\n[[cases]]\nurl = '/'\nexpect = 401\n",
        "did you mean corp?",
    ),
    "claims twice": ("[people.a]\nclaims = {sub='x'}\nroles = ['x']\n[[cases]]\nurl = '/'\nexpect = 401\n", "not both"),
    "a missing file of claims": ("[people.a]\nclaims_file = 'x.json'\n[[cases]]\nurl='/'\nexpect=401\n", "x.json"),
}


@pytest.mark.parametrize(("policy", "said"), FAULTS.values(), ids=FAULTS)
def test_a_fault_of_the_table_exits_with_2_and_tests_nothing(policy: str, said: str, folder: Path) -> None:
    code, out, err = run(folder, policy)
    assert (code, out) == (2, "")
    assert said in err


def test_all_unknown_keys_are_named_at_once(folder: Path) -> None:
    _, _, err = run(folder, "[[cases]]\nurl = '/'\nexpect = 401\na = 1\n[[cases]]\nurl = '/'\nexpect = 401\nb = 1\n")
    assert "cases[0].a: unknown key" in err
    assert "cases[1].b: unknown key" in err


def test_a_file_that_does_not_exist_is_named(folder: Path) -> None:
    done = vestibule("routes", "test", "nothing.toml", folder=folder)
    assert done.returncode == 2
    assert "nothing.toml" in done.stderr


def test_the_documented_policy_and_explanation_are_what_the_command_says(folder: Path) -> None:
    blocks = list(blocks_of((ROOT / "docs" / "policy-tests.md").read_text()))
    policy = next(block.text for block in blocks if block.language == "toml")
    explained, tested = (block.text for block in blocks if block.language == "console")
    assert tested == "$ vestibule routes test policy.toml\n" + run(folder, policy)[1]
    command, _, expected = explained.partition("\n")
    done = vestibule(*command.split()[2:], folder=folder)
    assert (done.returncode, done.stdout) == (1, expected)


def test_the_documented_difference_is_what_the_command_says(folder: Path) -> None:
    blocks = list(blocks_of((ROOT / "docs" / "policy-tests.md").read_text()))
    policy = next(block.text for block in blocks if block.language == "toml")
    shown = next(block.text for block in blocks if block.language == "text")
    file = folder / "vestibule.toml"
    file.write_text(file.read_text().replace('roles_any = ["analyst"]', 'roles_any = ["analyst", "viewer"]'))
    assert run(folder, policy)[:2] == (1, shown)

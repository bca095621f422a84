# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A value that is not what its option says is named with what would be right, and without its secrets."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_names import TIER_OF_ROLE, options_of
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_roles import problems_of_role
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_types import type_problems

OPTIONS: dict[str, Any] = {
    "x_int": {"type": "int", "default": 1},
    "x_float": {"type": "float", "default": 1},
    "x_bool": {"type": "bool", "default": True},
    "x_str": {"type": "str", "default": ""},
    "x_path": {"type": "path", "default": ""},
    "x_raw": {"type": "raw", "default": []},
    "x_list": {"type": "list", "elements": "str", "default": []},
    "x_dict": {"type": "dict", "default": {}},
    "x_choice": {"type": "str", "choices": ["yes", "no", "always"], "default": "no"},
    "x_secret": {"type": "str", "no_log": True, "default": ""},
    "x_limit": {"type": "dict", "default": {}, "options": {"requests": {"type": "int"}, "period": {"type": "str"}}},
    "x_users": {
        "type": "list",
        "elements": "dict",
        "no_log": True,
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "port": {"type": "int"},
            "tags": {"type": "list", "elements": "str"},
        },
    },
}
ONE = {"name": "one"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x_int", 5),
        ("x_int", "5"),
        ("x_float", "1.5"),
        ("x_bool", "yes"),
        ("x_bool", False),
        ("x_str", 5),
        ("x_path", "~/x"),
        ("x_raw", None),
        ("x_raw", {"a": [1]}),
        ("x_list", ["a", 5]),
        ("x_dict", {"a": None}),
        ("x_choice", "always"),
        ("x_limit", {"requests": "5", "period": "1s"}),
        ("x_limit", {}),
        ("x_users", [ONE, ONE | {"port": "5", "tags": []}]),
        # What was left out of an entry
        ("x_users", [ONE | {"port": None}]),
    ],
)
def test_value_of_its_type_is_no_problem(name: str, value: Any) -> None:
    assert type_problems({name: value}, OPTIONS) == {}


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("x_int", "abc", "x_int is 'abc'; it must be a whole number."),
        ("x_int", 5.5, "x_int is 5.5; it must be a whole number."),
        ("x_int", True, "x_int is True; it must be a whole number."),
        ("x_int", [5], "x_int is a list; it must be a whole number."),
        ("x_float", "much", "x_float is 'much'; it must be a number, such as 1.5."),
        ("x_bool", "maybe", "x_bool is 'maybe'; it must be true or false."),
        ("x_str", ["a"], "x_str is a list; it must be text."),
        ("x_str", None, "x_str is empty; it must be text, or be removed."),
        ("x_path", {}, "x_path is a dictionary; it must be a path."),
        # Ansible would take it for a list, and templates for its letters
        ("x_list", "192.0.2.1", "x_list is '192.0.2.1'; it must be a list, such as [192.0.2.1]."),
        ("x_list", {}, "x_list is a dictionary; it must be a list."),
        ("x_list", [{}], "x_list: entry 1 is a dictionary; it must be text."),
        ("x_list", ["a", None], "x_list: entry 2 is nothing; it must be text."),
        ("x_list", None, "x_list is empty; it must be a list, or be removed."),
        ("x_dict", "a=b", "x_dict is 'a=b'; it must be a dictionary of names and values."),
        ("x_dict", [], "x_dict is a list; it must be a dictionary of names and values."),
        ("x_choice", "never", "x_choice is 'never'; it must be yes, no or always."),
        (
            "x_choice",
            False,
            "x_choice is False; it must be yes, no or always; put it into quotes, for YAML takes no and off for false.",
        ),
        ("x_secret", ["my-secret"], "x_secret is a list; it must be text."),
        ("x_limit", {"requests": "many"}, "requests of x_limit is 'many'; it must be a whole number."),
        ("x_limit", {"request": 5}, "request of x_limit is not known; did you mean requests?"),
        ("x_limit", {"size": 5}, "size of x_limit is not known; there are requests, period."),
        ("x_users", ["one:my-secret"], "x_users: entry 1 is text; it must be a dictionary of names and values."),
        ("x_users", [ONE, {"port": 5}], "name of entry 2 in x_users is not set; it must be text."),
        ("x_users", [{"name": None}], "name of entry 1 in x_users is empty; it must be text."),
        ("x_users", [ONE | {"port": "my-secret"}], "port of one in x_users is text; it must be a whole number."),
        ("x_users", [ONE | {"tags": "my-secret"}], "tags of one in x_users is text; it must be a list."),
        ("x_users", [ONE | {"prot": 5}], "prot of one in x_users is not known; did you mean port?"),
    ],
)
def test_value_of_another_type_is_named(name: str, value: Any, says: str) -> None:
    assert type_problems({name: value}, OPTIONS) == {name: [says]}


def test_required_variable_is_named_unless_something_else_is_wrong_with_it() -> None:
    options = {"x_password": {"type": "str", "required": True, "no_log": True}}

    assert type_problems({}, options) == {"x_password": ["x_password is not set; it must be text."]}
    assert type_problems({}, options, ["x_password"]) == {}


@pytest.mark.parametrize("role", TIER_OF_ROLE)
def test_types_of_every_option_are_known(role: str) -> None:
    """A value of each other type is refused for each option of each role, and the role's own checks go on."""
    right = {"bool": True, "dict": {}, "float": 1.5, "int": 5, "list": [], "path": "x", "str": "x", "raw": "x"}
    for name, option in options_of(role).items():
        assert option["type"] in right
        wrong = {"list": "x", "dict": "x", "str": [], "path": []}.get(
            option["type"], [] if option["type"] != "raw" else 1
        )
        problems = problems_of_role(role, {name: wrong}, {})
        assert (any(problem.startswith(f"{name} is ") for problem in problems)) or option["type"] == "raw", name


def test_what_is_named_is_named_once() -> None:
    """The role's own checks would complain of a backend that lost its servers."""
    servers = {"haproxy_bind": "*:80", "haproxy_balance": "leastconn", "haproxy_servers": "app-1"}

    assert problems_of_role("haproxy", servers, {}) == [
        "haproxy_servers is 'app-1'; it must be a list, such as [app-1]."
    ]
    del servers["haproxy_servers"]
    assert problems_of_role("haproxy", servers, {"haproxy_servers": "'x' is undefined"}) == [
        "haproxy_servers: 'x' is undefined."
    ]


def test_types_and_values_of_a_role_are_told_at_once() -> None:
    problems = problems_of_role("redis", {"redis_port": 70000, "redis_bind": "x", "redis_prot": 1}, {})

    assert sorted(problem.split()[0] for problem in problems) == [
        "redis_bind",
        "redis_password",
        "redis_port",
        "redis_prot",
    ]

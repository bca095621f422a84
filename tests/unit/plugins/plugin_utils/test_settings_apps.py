# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with scaleout_apps is said, and what is right is not."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.alphacoder.scaleout.plugins.filter.app_backends import app_backends
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_apps import apps_problems

SHOP = {"port": 8000, "hosts": ["shop.example.org"], "health": {"path": "/up"}}
BLOG = {"port": 8010, "hosts": ["shop.example.org"], "paths": ["/blog"]}


@pytest.mark.parametrize(
    "apps",
    [
        {},
        None,
        {"shop": SHOP},
        {"shop": {"port": "8000"}},
        {"shop": SHOP, "blog": BLOG},
        {"shop": {"port": 8000}, "blog": BLOG | {"hosts": ["*.example.org", "localhost", "192.0.2.1", "_x.y-z.org"]}},
        {"shop": {"port": 8000}, "blog": {"port": 8002, "paths": ["/blog", "/a.b/~c/"]}},
        # The same path on other hosts, a path of the other's, names that begin alike
        {"shop": SHOP, "shop-api": BLOG | {"hosts": ["a", "b"]}, "shop-x": BLOG | {"port": 80, "paths": ["/blog/x"]}},
        {"app": {"port": 8000, "hosts": [], "paths": [], "health": {}, "backend": {}}},
    ],
)
def test_good_apps(apps: Any) -> None:
    assert apps_problems({"scaleout_apps": apps}, app=next(iter(apps or {}), "")) == []


@pytest.mark.parametrize(
    ("apps", "says"),
    [
        (["shop"], "scaleout_apps is ['shop']; it must be a dictionary of apps"),
        ("shop", "scaleout_apps is 'shop'; it must be a dictionary of apps"),
        ({"shop": 8000}, "scaleout_apps: shop is 8000; it must be a dictionary, such as {port: 8000, hosts:"),
        ({"shop": None}, "scaleout_apps: shop is None; it must be a dictionary"),
        ({"my shop": SHOP}, "scaleout_apps: my shop is no name; it must be letters, digits, _, . and -"),
        ({"stats": SHOP}, "stats is what HAProxy has another section for (not-found, public, stats); give the app"),
        ({"shop": {"hosts": ["a"]}}, "scaleout_apps: shop: port is None; it must be where app servers publish the app"),
        ({"shop": SHOP | {"port": 0}}, "shop: port is 0; it must be"),
        ({"shop": SHOP | {"port": 70000}}, "shop: port is 70000; it must be"),
        ({"shop": SHOP | {"port": True}}, "shop: port is True; it must be"),
        ({"shop": SHOP | {"host": ["a"]}}, "scaleout_apps: shop has host; did you mean hosts?"),
        (
            {"shop": SHOP | {"image": "x"}},
            "scaleout_apps: shop has image; it takes port, hosts, paths, health, backend.",
        ),
        ({"shop": SHOP | {"hosts": "a"}}, "shop: hosts is 'a'; it must be a list of host names without a port"),
        ({"shop": SHOP | {"hosts": ["https://a"]}}, "shop: hosts has 'https://a'; it must be a list of host names"),
        ({"shop": SHOP | {"hosts": ["a:80"]}}, "shop: hosts has 'a:80'; it must be"),
        ({"shop": SHOP | {"hosts": ["a*.b"]}}, "shop: hosts has 'a*.b'; it must be"),
        ({"shop": SHOP | {"hosts": ["a b"]}}, "shop: hosts has 'a b'; it must be"),
        ({"shop": SHOP | {"hosts": [1]}}, "shop: hosts has 1; it must be"),
        ({"shop": SHOP | {"paths": ["blog"]}}, "shop: paths has 'blog'; it must be a list of paths that begin with /"),
        ({"shop": SHOP | {"paths": ["/a b"]}}, "shop: paths has '/a b'; it must be"),
        ({"shop": SHOP | {"paths": ["/a\n"]}}, "shop: paths has '/a\\n'; it must be"),
        ({"shop": SHOP | {"health": "/up"}}, "scaleout_apps: shop: health is '/up'; it must be a dictionary"),
        (
            {"shop": SHOP | {"health": {"path": "up"}}},
            "scaleout_apps: shop: health: path is 'up'; it must begin with /",
        ),
        ({"shop": SHOP | {"health": {"path": "/", "x": "/up"}}}, "scaleout_apps: shop: health has x; it takes path"),
        ({"shop": SHOP | {"backend": ["x"]}}, "shop: backend is ['x']; it must be keys of haproxy_backends"),
        (
            {"shop": SHOP | {"backend": {"servers": []}}},
            "backend has servers, which are the app servers, with the app's port",
        ),
        (
            {"shop": SHOP | {"backend": {"mode": "tcp"}}},
            "shop: backend has mode, which is http, for only that knows host",
        ),
        ({"shop": SHOP, "blog": BLOG | {"port": 8000}}, "shop and blog both have port 8000; give one of them another."),
        (
            {"shop": SHOP | {"port": 8011}, "blog": BLOG},
            "shop has port 8011, which is where blog answers while its only container is replaced (its port and 1); "
            "give shop another, such as 8020.",
        ),
        (
            {"shop": SHOP | {"paths": ["/blog/"]}, "blog": BLOG | {"hosts": ["Shop.example.org"]}},
            "scaleout_apps: shop and blog both take shop.example.org/blog; remove it from one of them.",
        ),
        (
            {"shop": BLOG, "blog": {"port": 80, "hosts": ["a", "shop.example.org"], "paths": ["/x", "/blog"]}},
            "org/blog;",
        ),
        (
            {"shop": {"port": 8000}, "blog": {"port": 8010, "paths": ["/"]}},
            "shop and blog both take what no other app takes, for they have neither hosts nor paths; give one of them",
        ),
        (
            {"shop": SHOP, "shop-beside": BLOG},
            "shop-beside is the name of a container of shop at times; give it another.",
        ),
    ],
)
def test_wrong_apps_are_named(apps: Any, says: str) -> None:
    problems = apps_problems({"scaleout_apps": apps}, app=next(iter(apps)) if isinstance(apps, dict) else "shop")

    assert len(problems) == 1, problems
    assert says in problems[0]


@pytest.mark.parametrize(
    ("app", "says"),
    [
        (
            "",
            "The run names no app, and scaleout_apps has shop, blog. Give it the settings of one, with its app_name, ",
        ),
        (
            "blgo",
            "app_name is blgo, which scaleout_apps does not have; did you mean blog? The settings of an app are given",
        ),
        ("hits", "app_name is hits, which scaleout_apps does not have; it has shop, blog."),
    ],
)
def test_app_of_the_run_that_there_is_not(app: str, says: str) -> None:
    [problem] = apps_problems({"scaleout_apps": {"shop": SHOP, "blog": BLOG}}, app=app)
    assert problem.startswith(says)


def test_all_that_is_wrong_is_named_at_once() -> None:
    assert len(apps_problems({"scaleout_apps": {"a b": {"prot": 1}, "c": {"port": 1, "hosts": "x"}}}, app="d")) == 5


OWN = {"scaleout_app_port": 8010, "app_publish_port": "8010", "scaleout_backend": "blog"}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, ""),
        ({"app_health": {}, "app_beside_port": 0}, ""),
        ({"app_beside_port": 8030}, ""),
        (
            {"scaleout_app_port": 8000, "app_publish_port": 8000},
            "scaleout_app_port is 8000, but blog of scaleout_apps has",
        ),
        ({"app_publish_port": 8080}, "app_publish_port is 8080, but blog of scaleout_apps has port 8010. Write"),
        ({"scaleout_backend": "app"}, "scaleout_backend is app, but the backend of blog has its name. Remove"),
        (
            {"app_beside_port": 8000},
            "app_beside_port is 8000, which shop of scaleout_apps has; it must be a port that no",
        ),
        ({"app_beside_port": "8001"}, "app_beside_port is 8001, which shop of scaleout_apps has"),
        ({"app_health_path": "/up"}, "app_health or app_health_path of blog is not the health of scaleout_apps"),
        (
            {"app_health": {"path": "/readyz"}},
            "app_health or app_health_path of blog is not the health of scaleout_apps",
        ),
    ],
)
def test_app_server_that_does_not_follow_is_named(settings: dict[str, Any], says: str) -> None:
    apps = {"scaleout_apps": {"shop": SHOP, "blog": BLOG}}
    problems = apps_problems(apps | OWN | settings, app="blog", tier="app")

    assert (len(problems), says in "".join(problems)) == (1 if says else 0, True), problems


def test_short_form_of_the_same_health_is_right() -> None:
    settings = {"scaleout_apps": {"shop": SHOP}, "scaleout_app_port": 8000, "app_publish_port": 8000}
    assert (
        apps_problems(settings | {"scaleout_backend": "shop", "app_health_path": "/up"}, app="shop", tier="app") == []
    )


MORE = {"name": "static", "servers": []}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, ""),
        ({"haproxy_balance": "roundrobin", "haproxy_maintenance": True, "haproxy_mode": "http"}, ""),
        # Beside what users have
        ({"use_backend": ["static if { path_beg /static/ }"], "backends": [MORE]}, ""),
        ({"haproxy_bind": [], "haproxy_use_backend": [], "frontends": True, "haproxy_default_backend": "app"}, ""),
        ({"haproxy_mode": "tcp"}, "haproxy_mode is tcp, which knows no host names and paths"),
        (
            {"haproxy_balance": "leastconn"},
            "haproxy_balance is for the backend of a single app. Write it into the apps",
        ),
        ({"haproxy_backend_extra": ["x"]}, "that need it, as backend: {extra: …}."),
        (
            {"haproxy_backends": [MORE]},
            "The load balancers would send nobody to shop, blog of scaleout_apps. Write these",
        ),
        ({"haproxy_use_backend": ["shop if TRUE"]}, "would send nobody to blog, shop of scaleout_apps. Write"),
        ({"haproxy_default_backend": "app"}, "would send nobody to not-found of scaleout_apps."),
    ],
)
def test_load_balancer_that_leaves_an_app_out_is_named(settings: dict[str, Any], says: str) -> None:
    apps = {"shop": SHOP, "blog": BLOG}
    wanted = app_backends([], apps)
    own = {
        "scaleout_apps": apps,
        "scaleout_use_backend": wanted["use_backend"],
        "scaleout_default_backend": wanted["default_backend"],
        "haproxy_backends": wanted["backends"] + settings.pop("backends", []),
        "haproxy_use_backend": settings.pop("use_backend", []) + wanted["use_backend"],
        "haproxy_default_backend": wanted["default_backend"],
        "haproxy_frontends": [{"use_backend": wanted["use_backend"]}] if settings.pop("frontends", False) else [],
    }
    problems = apps_problems(own | settings, app="shop", tier="lb")

    assert (len(problems), says in "".join(problems)) == (1 if says else 0, True), problems

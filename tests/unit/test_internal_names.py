# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and files are counted as a reader meets them."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import internal_names

TREE = {
    "playbooks/deploy.yml": """
- name: Preflight
  import_playbook: preflight.yml
- name: Roll out
  ansible.builtin.import_playbook: alphacoder.scaleout._rollout
""",
    "playbooks/preflight.yml": """
- hosts: all
  tasks:
    - include_role: {name: alphacoder.scaleout.redis, tasks_from: preflight}
    - include_role: {name: "{{ any_role }}", tasks_from: preflight}
""",
    "playbooks/_rollout.yml": """
- hosts: app
  roles: [tiers, {role: docker}]
  tasks:
    - block:
        # Not lost.j2, of which only a comment speaks
        - include_role: {name: "{{ build_role }}"}
      rescue:
        - include_role:
            name: alphacoder.scaleout.app
            tasks_from: start
          vars:
            app_tasks: "{{ playbook_dir }}/tasks/other.yml"
    - alphacoder.scaleout.status:
        servers: "{{ x | alphacoder.scaleout.rotation }}"
""",
    "playbooks/tasks/other.yml": "- debug: {msg: !unsafe '{{'}",
    "playbooks/roles/tiers/defaults/main.yml": "tiers_x: 1",
    "plugins/modules/status.py": "",
    "plugins/action/status.py": "",
    "plugins/filter/rotation.py": "",
    "plugins/filter/unused.py": "",
    "roles/app/defaults/main.yml": "app_x: '{{ __app_one }}'",
    "roles/app/vars/main.yml": "__app_one: 1\n__app_two: __app_one",
    "roles/app/meta/argument_specs.yml": "__app_meta: 1",
    "roles/app/tasks/main.yml": "- import_tasks: never.yml",
    "roles/app/tasks/start.yml": """
- ansible.builtin.include_tasks: {file: more.yml}
- include_tasks: "{{ app_tasks }}"
- template: {src: app.j2, dest: /x}
- command: python3 {{ role_path }}/files/program.py
- command: /usr/bin/other.py
""",
    "roles/app/tasks/more.yml": "- {debug: {}, notify: x}",
    "roles/app/handlers/main.yml": "- {name: x, debug: {}}",
    "roles/app/templates/app.j2": "{{ __app_one }} {{ __app_three }} {{ x.__class__ }} a__b",
    "roles/app/files/program.py": "__version = 1",
    "roles/docker/tasks/main.yml": "[]",
    "roles/hits/tasks/main.yml": "- import_tasks: preflight.yml",
    "roles/hits/tasks/preflight.yml": "[]",
    "roles/redis/tasks/preflight.yml": "- {debug: {}}",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in TREE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_names_of_tasks_variables_and_templates_are_found(tree: Path) -> None:
    assert internal_names.internal_names(tree) == {
        "__app_one": {"roles/app/defaults/main.yml", "roles/app/vars/main.yml", "roles/app/templates/app.j2"},
        "__app_two": {"roles/app/vars/main.yml"},
        "__app_three": {"roles/app/templates/app.j2"},
    }


def test_a_release_is_followed_through_every_file_once(tree: Path) -> None:
    files = [str(file.relative_to(tree.resolve())) for file in internal_names.Release(tree).files]

    assert sorted(files) == sorted(
        [
            "playbooks/deploy.yml",
            "playbooks/preflight.yml",
            "playbooks/_rollout.yml",
            "playbooks/tasks/other.yml",
            "playbooks/roles/tiers/defaults/main.yml",
            "plugins/action/status.py",
            "plugins/filter/rotation.py",
            "roles/app/vars/main.yml",
            "roles/app/tasks/start.yml",
            "roles/app/tasks/more.yml",
            "roles/app/handlers/main.yml",
            "roles/app/templates/app.j2",
            "roles/app/files/program.py",
            "roles/docker/tasks/main.yml",
            "roles/hits/tasks/main.yml",
        ]
    )


def test_a_file_that_is_not_there_is_named(tree: Path) -> None:
    (tree / "roles" / "app" / "tasks" / "more.yml").unlink()

    with pytest.raises(FileNotFoundError, match=r"roles/app/tasks/more\.yml is named, but is not there"):
        internal_names.Release(tree)


@pytest.mark.parametrize(("limit", "value"), [("NAMES", 3), ("SHARED_NAMES", 1), ("FILES", 14)])
def test_each_limit_fails_the_check(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], limit: str, value: int
) -> None:
    assert internal_names.main(tree, []) == 0
    monkeypatch.setattr(internal_names, limit, value)
    assert internal_names.main(tree, []) == 1
    assert "files of one release: 15 (at most" in capsys.readouterr().out

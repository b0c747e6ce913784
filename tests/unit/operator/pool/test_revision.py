"""What the pods of a pool are created from."""

from typing import Any

import pytest

from caisson.config.model import Config
from caisson.config.sandboxes import Sandboxes
from caisson.model.ownership import POOL_LABEL, SANDBOX_LABEL, controller_of
from caisson.pod.template_annotation import PodTemplateRecord, read_template, write_template
from caisson.pool.revision import render_warm_pod, template_hash
from tests.unit.operator.builders import CONFIG, POOL_UID, make_pool

Json = dict[str, Any]


class TestTemplate:
    def test_the_template_survives_the_round_trip_through_a_pod(self) -> None:
        pool = make_pool(template={"env": [{"name": "A", "value": "b"}]}, preload=["postgres:16"])
        template_record = read_template(render_warm_pod(pool, CONFIG, "warm-abcde"))
        assert template_record == PodTemplateRecord(pool.spec.template.spec, ("postgres:16",))

    @pytest.mark.parametrize("written", ["", "{", "[]", '{"spec": {}, "preload": []}', '{"spec": 1, "preload": 2}'])
    def test_an_unreadable_annotation_is_none(self, written: str) -> None:
        assert read_template({"metadata": {"annotations": {"caisson.dev/pool-template": written}}}) is None

    def test_default_values_do_not_change_the_annotation(self) -> None:
        plain, external_message = make_pool(), make_pool(template={"docker": {"enabled": True}, "entrypoint": "Idle"})
        assert write_template(plain.spec.template.spec) == write_template(external_message.spec.template.spec)

    @pytest.mark.parametrize(
        "changed",
        [
            {"template": {"image": "other"}},
            {"template": {"ports": [{"name": "a", "containerPort": 1}]}},
            {"preload": ["a"]},
        ],
        ids=str,
    )
    def test_a_change_of_the_template_changes_the_hash(self, changed: Json) -> None:
        before, later = (render_warm_pod(p, CONFIG, "x") for p in (make_pool(), make_pool(**changed)))
        assert template_hash(before) != template_hash(later)

    def test_the_configuration_changes_the_hash_and_the_name_does_not(self) -> None:
        pool = make_pool()
        assert template_hash(render_warm_pod(pool, CONFIG, "x")) == template_hash(render_warm_pod(pool, CONFIG, "y"))
        other = CONFIG.model_copy(update={"toolboxes": CONFIG.toolboxes[1:]})
        assert template_hash(render_warm_pod(pool, CONFIG, "x")) != template_hash(render_warm_pod(pool, other, "x"))

    def test_a_new_field_of_the_configuration_with_a_default_changes_no_hash(self) -> None:
        class NewerSandboxes(Sandboxes):
            new_field: int = 7

        class NewerConfig(Config):
            sandboxes: NewerSandboxes = NewerSandboxes()

        newer = NewerConfig.model_validate(CONFIG.model_dump(by_alias=True))
        before, later = (template_hash(render_warm_pod(make_pool(), config, "x")) for config in (CONFIG, newer))
        assert before == later
        changed = newer.model_copy(update={"sandboxes": newer.sandboxes.model_copy(update={"new_field": 8})})
        assert template_hash(render_warm_pod(make_pool(), changed, "x")) != before

    def test_the_pool_owns_its_pods(self) -> None:
        pod = render_warm_pod(make_pool(), CONFIG, "warm-abcde")
        owner = controller_of(pod)
        assert owner is not None
        assert (owner["kind"], owner["name"], owner["uid"]) == ("SandboxPool", "warm", POOL_UID)
        assert pod["metadata"]["labels"][POOL_LABEL] == "warm"
        assert SANDBOX_LABEL not in pod["metadata"]["labels"]

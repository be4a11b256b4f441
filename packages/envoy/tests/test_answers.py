"""What Envoy answers is described: a model for each route, and bytes as they were published."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from envoy_studio import Studio
from messages import saying


@pytest.fixture
async def described(studio: Studio) -> dict[str, Any]:
    found: dict[str, Any] = (await studio.http.get("/envoy/openapi.json")).json()
    return found


def operations(described: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def schema_of(answer: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = answer["content"]["application/json"]["schema"]
    return schema


def reached(schema: Any, described: dict[str, Any], seen: set[str]) -> Iterator[dict[str, Any]]:
    """Yield a schema and all that it consists of."""
    if isinstance(schema, list):
        for each in schema:
            yield from reached(each, described, seen)
    if not isinstance(schema, dict):
        return
    yield schema
    name = schema.get("$ref", "").rpartition("/")[2]
    if name and name not in seen:
        seen.add(name)
        yield from reached(described["components"]["schemas"][name], described, seen)
    inside = [schema.get("items", []), *schema.get("properties", {}).values()]
    inside += [schema.get(word, []) for word in ("anyOf", "additionalProperties", "prefixItems")]
    yield from reached(inside, described, seen)


async def test_every_route_answers_a_model_through_and_through(described: dict[str, Any]) -> None:
    found = dict(operations(described))
    assert len(found) > 15
    for route, operation in found.items():
        (success,) = (status for status in operation["responses"] if status.startswith("2"))
        schema = schema_of(operation["responses"][success])
        named = schema.get("items", schema) if schema.get("type") == "array" else schema
        assert "$ref" in named, f"{route} answers no model"
        for part in reached(schema, described, set()):
            assert {"$ref", "type", "anyOf", "enum", "const"} & set(part), (route, part)
            is_open = part.get("type") == "object" and "properties" not in part
            assert not is_open or isinstance(part["additionalProperties"], dict), (route, part)


async def test_every_route_says_how_it_refuses(described: dict[str, Any]) -> None:
    for route, operation in operations(described):
        refused = operation["responses"]
        assert "422" not in refused, route
        assert schema_of(refused["default"]) == {"$ref": "#/components/schemas/ErrorBody"}, route


async def test_published_answers_have_their_names_in_their_order(studio: Studio) -> None:
    """Byte for byte: who reads them may be a script of any age."""
    await studio.submitted()

    async def text(path: str) -> str:
        told = (await studio.http.get(path)).text
        return re.sub(r'[0-9a-f]{64}|\d{4}-\d\d-\d\dT[\d:]{8}"', "~", told)

    assert await text("/credits-info") == '{"credits_available":100.0}'
    assert await text("/user-info") == (
        '{"data":{"created":"~,"credits_available":100.0,"credits_consumed":200.0,'
        '"email_address":"artist@example.com","job_throughput_limit":30,"max_throughput":30,'
        '"name":"Artist","service_plan":"Standard"}}'
    )
    assert await text("/project/demo/Files") == (
        '{"project_files":{"all_files":[{"Name":"/demo/scene.blend","Key":"demo/scene.blend",'
        '"FmtName":"scene.blend","Size":5,"CheckSum":"~","LastModified":"~}]}}'
    )
    assert await text("/project-status/demo") == (
        '{"Code":200,"State":"Submitted","Message":"Job submission successful.","BytesDone":5,'
        '"BytesTotal":5,"Details":{"/demo/scene.blend":{"Name":"/demo/scene.blend",'
        '"State":"Completed","BytesDone":5,"BytesTotal":5,"Speed":"0.00"}},"Speed":0,'
        '"Warnings":["From the check."]}'
    )
    unknown = (await studio.http.get("/project-status/none")).json()["Message"]
    assert unknown == saying("envoy-knows-no-such-project")
    assert await text("/project-status/none") == (
        f'{{"Code":200,"State":"Unknown","Message":"{unknown}",'
        '"BytesDone":0,"BytesTotal":0,"Details":{},"Speed":0,"Warnings":[]}'
    )
    # Without a time zone's letter or with it, as each has always been written.
    shown = (await studio.http.get("/envoy/activity")).text
    assert re.search(r'"submitted_at":"[^"]+\+00:00"\}\],"waiting_for"', shown)
    assert '"submitted_at":"2026-01-02T03:04:05Z"' in shown

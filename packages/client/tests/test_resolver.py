"""The product resolver: pure answers over a product list."""

import random
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from gridmarkets import ProductResolver
from hypothesis import given
from hypothesis import strategies as st


def row(code: str, version: str, modules: Iterable[str] = (), **more: Any) -> dict[str, Any]:
    return dict({"app_type": code, "version": version, "compatible_modules": list(modules)}, **more)


HOUDINI: dict[str, Any] = {"name": "Houdini", "is_plugin": False, "business_vertical": "media"}
PLUGIN: dict[str, Any] = {"is_plugin": True, "business_vertical": "media"}
PRODUCTS = [
    row("hou", "17.5.229", ["hou_redshift:2.6.38", "hou_redshift:2.6.39"], **HOUDINI),
    row("hou", "17.5.173", ["hou_redshift:2.6.38", "htoa:4.0.1", "htoa:4.0.2"], **HOUDINI),
    row("hou", "9.5.1", [], **HOUDINI),
    row("hou_redshift", "2.6.39", name="hou_redshift", **PLUGIN),
    row("hou_redshift", "2.6.38", name="hou_redshift", **PLUGIN),
    row("htoa", "4.0.1", name="htoa", **PLUGIN),
    row("htoa", "4.0.2", name="htoa", **PLUGIN),
    row("nuke", "10.5v10", **dict(HOUDINI, name="Nuke")),
    row("nuke", "10.5v2", **dict(HOUDINI, name="Nuke")),
    row("c4d", "R19", **dict(HOUDINI, name="Cinema 4D")),
]


@pytest.fixture
def resolver() -> ProductResolver:
    return ProductResolver(PRODUCTS)


def versions(answer: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {code: entry["versions"] for code, entry in answer.items()}


def test_all_types_have_the_documented_form(resolver: ProductResolver) -> None:
    types = resolver.get_all_types()
    assert types["hou"] == {
        "versions": ["9.5.1", "17.5.173", "17.5.229"],
        "is_plugin": False,
        "name": "Houdini",
        "business_vertical": "media",
    }
    assert types["htoa"]["is_plugin"] is True
    assert set(resolver.get_all_types(False)) == {"hou", "nuke", "c4d"}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("nuke", ["10.5v2", "10.5v10"]),
        ("hou_redshift", ["2.6.38", "2.6.39"]),
        ("hou:17.5", ["17.5.173", "17.5.229"]),
        ("hou:17.5.17", []),
        ("maya", []),
    ],
)
def test_versions_of_a_type(resolver: ProductResolver, query: str, expected: list[str]) -> None:
    assert resolver.get_versions_by_type(query) == expected


REDSHIFT_38 = {"hou_redshift": ["2.6.38"]}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        # The two documented examples.
        (("hou:17.5.173",), dict(REDSHIFT_38, htoa=["4.0.1", "4.0.2"])),
        (["hou:17.5.173", "hou:17.5.229"], REDSHIFT_38),
        # A bare type stands for any of its versions, a beginning for those that begin so.
        ("hou", {"hou_redshift": ["2.6.38", "2.6.39"], "htoa": ["4.0.1", "4.0.2"]}),
        (["hou:17.5"], {"hou_redshift": ["2.6.38", "2.6.39"], "htoa": ["4.0.1", "4.0.2"]}),
        (["hou:9"], {}),
        # Plug-ins ask for products.
        (["hou_redshift:2.6.39"], {"hou": ["17.5.229"]}),
        (["hou_redshift", "htoa"], {"hou": ["17.5.173"]}),
        (["hou_redshift:2.6.39", "htoa"], {}),
        # Both: what else fits to the versions of the product that take the plug-in.
        (["hou", "hou_redshift:2.6.38"], {"htoa": ["4.0.1", "4.0.2"]}),
        (["hou", "hou_redshift:2.6.39"], {}),
        (["hou:17.5.229", "htoa"], {}),
        (["maya"], {}),
        (["hou:99"], {}),
        ([], {}),
    ],
)
def test_compatible_combinations(
    resolver: ProductResolver, query: str | Sequence[str], expected: dict[str, list[str]]
) -> None:
    assert versions(resolver.get_compatible_combinations(query)) == expected


def test_strict_matches_take_no_beginnings(resolver: ProductResolver) -> None:
    assert resolver.get_compatible_combinations(["hou:17.5"], strict_version_matches=True) == {}
    assert resolver.get_compatible_combinations(["hou:17.5.173"], True) != {}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (["hou:17.5.229"], {"hou": ["17.5.229"], "hou_redshift": ["2.6.38", "2.6.39"]}),
        (
            ["hou", "htoa"],
            {"hou": ["17.5.173"], "hou_redshift": ["2.6.38"], "htoa": ["4.0.1", "4.0.2"]},
        ),
        (["hou_redshift:2.6.39"], {"hou": ["17.5.229"], "hou_redshift": ["2.6.39"]}),
        (["hou:17.5.229", "htoa"], {}),
    ],
)
def test_query_types_can_be_included(
    resolver: ProductResolver, query: str | Sequence[str], expected: dict[str, list[str]]
) -> None:
    answer = resolver.get_compatible_combinations(query, include_query_types=True)
    assert versions(answer) == expected


def test_an_exact_version_is_not_taken_for_a_beginning() -> None:
    resolver = ProductResolver([row("b", "3.4", ["p:1"]), row("b", "3.4.1", ["p:2"])])
    assert versions(resolver.get_compatible_combinations("b:3.4")) == {"p": ["1"]}


def test_plug_ins_that_only_other_products_name_are_known() -> None:
    resolver = ProductResolver([{"app_type": "hou", "version": "1", "compatible_modules": ["x:2"]}])
    assert resolver.get_all_types()["x"]["is_plugin"] is True
    assert resolver.get_versions_by_type("x") == ["2"]


V_RAY = [
    row("c4d", "2024.4.1", ["arnold:4.7", "vray:7.0"], **dict(HOUDINI, name="Cinema 4D")),
    row("c4d", "2023.1", ["arnold:4.7"], **dict(HOUDINI, name="Cinema 4D")),
    row("vray", "6.20.01", **dict(HOUDINI, name="V-Ray")),
    row("arnold", "4.7", ["c4d:2024.4.1", "c4d:2023.1"], name="Arnold", **PLUGIN),
    row("vray", "7.0", ["c4d:2024.4.1"], name="V-Ray for Cinema 4D", **PLUGIN),
]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (["c4d:2024.4.1", "vray"], {"arnold": ["4.7"]}),
        (["c4d", "vray:7.0"], {"arnold": ["4.7"]}),
        (["c4d:2023.1", "vray"], {}),
        (["c4d", "vray:6.20.01"], {}),
        (["vray"], {"c4d": ["2024.4.1"]}),
        (["arnold", "vray"], {"c4d": ["2024.4.1"]}),
    ],
)
def test_a_product_that_is_a_plug_in_too_is_one_beside_another_type(
    query: str | Sequence[str], expected: dict[str, list[str]]
) -> None:
    resolver = ProductResolver(V_RAY)
    assert versions(resolver.get_compatible_combinations(query)) == expected


def test_a_product_that_is_a_plug_in_too_is_told_apart() -> None:
    resolver = ProductResolver(V_RAY)
    assert resolver.get_all_types(False)["vray"]["is_plugin"] is False
    assert resolver.get_compatible_combinations("c4d:2024.4.1")["vray"] == {
        "versions": ["7.0"],
        "is_plugin": True,
        "name": "V-Ray",
        "business_vertical": "media",
    }
    answer = resolver.get_compatible_combinations(["c4d", "vray"], include_query_types=True)
    assert versions(answer) == {"c4d": ["2024.4.1"], "arnold": ["4.7"], "vray": ["7.0"]}


ORDERED = [
    ["9.5.1", "10.0.1", "17.5.173", "17.5.229"],
    ["10.5", "10.5v1", "10.5v2", "10.5v10", "10.5.1", "10.6v1"],
    ["R19", "R21", "S26", "2023.1", "2024.0"],
    ["4.0-beta", "4.0-rc1", "4.0", "4.0.1"],
    ["2.79", "2.79a", "2.79b", "2.80"],
]


@pytest.mark.parametrize("expected", ORDERED)
def test_versions_are_ordered_as_versions(expected: list[str]) -> None:
    shuffled = list(expected)
    random.Random(1).shuffle(shuffled)
    resolver = ProductResolver([row("p", version) for version in shuffled])
    assert resolver.get_versions_by_type("p") == expected


@given(st.lists(st.text(alphabet="0129.vRab- é", min_size=1), min_size=1))
def test_the_order_does_not_depend_on_the_list(names: list[str]) -> None:
    names = [name.strip() or "0" for name in names]
    one = ProductResolver([row("p", name) for name in names])
    other = ProductResolver([row("p", name) for name in reversed(names)])
    assert one.get_versions_by_type("p") == other.get_versions_by_type("p")
    assert sorted(set(names)) == sorted(one.get_versions_by_type("p"))


@given(st.lists(st.integers(0, 300), min_size=1, max_size=4), st.integers(0, 300))
def test_numbers_are_compared_as_numbers(parts: list[int], more: int) -> None:
    lower = ".".join(str(part) for part in parts)
    parts[-1] += more + 1
    higher = ".".join(str(part) for part in parts)
    resolver = ProductResolver([row("p", higher), row("p", lower)])
    assert resolver.get_versions_by_type("p") == [lower, higher]


LINKS = st.sets(st.tuples(st.integers(1, 4), st.sampled_from(["x", "y"]), st.integers(1, 3)))


@given(LINKS)
def test_compatibility_goes_both_ways(links: set[tuple[int, str, int]]) -> None:
    rows = [
        row("app", str(n), ["%s:%d" % (p, v) for a, p, v in links if a == n], is_plugin=False)
        for n in range(1, 5)
    ]
    resolver = ProductResolver(rows)
    for n in range(1, 5):
        answer = resolver.get_compatible_combinations("app:%d" % n)
        for code, entry in answer.items():
            for version in entry["versions"]:
                assert (n, code, int(version)) in links
                back = resolver.get_compatible_combinations(code + ":" + version)
                assert str(n) in back["app"]["versions"]

"""Which products, plug-ins and versions there are, and which work together.

Pure functions over the product list of Envoy: nothing is asked or changed after construction.
A query is a type (``hou``), a type with a version (``hou:17.5.173``) or with the beginning of
one (``hou:17.5`` means every 17.5). A type that is a product and a plug-in (``vray``) is the
plug-in beside another type, and the product alone.
"""

from __future__ import unicode_literals

import re

from gridmarkets._compat import is_text, to_text

_TOKENS = re.compile(r"[0-9]+|[a-z]+")
_PRE_RELEASES = ("alpha", "beta", "dev", "pre", "preview", "rc")
_END = (1, 0, "")


def version_key(version):
    """Return what versions are sorted by: 9 < 10, 10.5 < 10.5v2 < 10.5v10, R19 < S26 < 2023.

    Numbers count as numbers; a version that goes on is the later one, unless it goes on with a
    word such as "beta". Single letters are later ones: Blender's 2.79b follows 2.79.
    """
    tokens = [_token_key(token) for token in _tokens(version)]
    # The text itself decides between "1.0" and "1-0", so that the order never depends on chance.
    return (tokens + [_END], version)  # noqa: RUF005


class ProductResolver(object):
    """Answers questions about a product list.

    Parameters:
        products: a list of dicts, one per version of a product or plug-in:
            ``{"app_type", "version", "name", "is_plugin", "business_vertical",
            "compatible_modules": ["<plugin>:<version>", ...]}``. Older services leave out
            ``is_plugin``, and list plug-ins in ``compatible_modules`` only.
    """

    def __init__(self, products):
        self._types = {}
        # Codes of plug-ins, of which some are those of products, too.
        self._plugins = set()
        self._versions = {}
        self._partners = {}
        modules = []
        for row in products:
            modules.extend(row.get("compatible_modules") or [])
        module_types = set(_split(module)[0] for module in modules)
        for row in products:
            self._add_row(row, module_types)
        for module in modules:
            self._add_module(module)

    def get_all_types(self, include_plugins=True):
        """Return every type with its versions, oldest first.

        Parameters:
            include_plugins: False leaves plug-ins out.

        Returns:
            ``{"hou": {"versions": ["17.5.173", ...], "is_plugin": False, "name": "Houdini",
            "business_vertical": "media"}, ...}``
        """
        return dict(
            (code, self._entry(code, versions))
            for code, versions in self._versions.items()
            if include_plugins or not self._types[code]["is_plugin"]
        )

    def get_versions_by_type(self, product_type):
        """Return the versions of a type, oldest first; [] for an unknown one.

        Parameters:
            product_type: a type such as ``hou``; ``hou:17.5`` lists that type's 17.5 only.
        """
        matches = self._matches(product_type, strict=False)
        return sorted((version for _, version in matches), key=version_key)

    def get_compatible_combinations(
        self, query, strict_version_matches=False, include_query_types=False
    ):
        """Return what works together with everything in ``query``.

        For products: the plug-ins that all of them can use, with products narrowed to the
        versions that also take the plug-ins in the query. For plug-ins alone: the products that
        can use all of them.

        Parameters:
            query: a list or tuple of queries, or a single one; see the module's text.
            strict_version_matches: True takes ``hou:17.5`` for that one version only.
            include_query_types: True adds the types asked for, with the versions that fit.

        Returns:
            the same form as `get_all_types`; {} when nothing fits.
        """
        queries = [query] if is_text(query) else list(query)
        asked = set(_split(one)[0] for one in queries)
        plugin_matches, product_matches = [], []
        for one in queries:
            matches = self._matches(one, strict_version_matches)
            code = _split(one)[0]
            is_plugin = code in self._plugins and (len(asked) > 1 or self._types[code]["is_plugin"])
            (plugin_matches if is_plugin else product_matches).append(matches)
        if not queries:
            return {}
        if product_matches:
            fitting = [self._taking(matches, plugin_matches) for matches in product_matches]
            if not all(fitting):
                return {}
            # What every product of the query can use, in one of the versions that fit.
            found = set.intersection(*[self._partners_of(products) for products in fitting])
            chosen = set().union(*fitting)
        else:
            products = [product for product in self._partners if not self._is_plugin(product)]
            found = self._taking(products, plugin_matches)
            chosen = set()
        result = set(item for item in found if item[0] not in asked)
        if include_query_types and (found or chosen):
            takers = chosen or found
            for matches in plugin_matches:
                chosen = chosen | (set(matches) & self._partners_of(takers))
            result |= chosen
        answer = self._entries(result)
        for code in answer:
            if product_matches and code in self._plugins and code not in asked:
                answer[code]["is_plugin"] = True
        return answer

    def _add_row(self, row, module_types):
        code, version = to_text(row["app_type"]), to_text(row["version"])
        modules = [_split(module) for module in row.get("compatible_modules") or []]
        is_plugin = row.get("is_plugin")
        if is_plugin is None:
            is_plugin = code in module_types and not modules
        if is_plugin:
            self._plugins.add(code)
        self._types.setdefault(
            code,
            {
                "is_plugin": bool(is_plugin),
                "name": row.get("name") or code,
                "business_vertical": row.get("business_vertical") or "media",
            },
        )
        self._versions.setdefault(code, set()).add(version)
        partners = self._partners.setdefault((code, version), set())
        for module in modules:
            partners.add(module)
            self._partners.setdefault(module, set()).add((code, version))

    def _add_module(self, module):
        code, version = _split(module)
        vertical = "media"
        if code not in self._types:
            self._plugins.add(code)
            self._types[code] = {"is_plugin": True, "name": code, "business_vertical": vertical}
        self._versions.setdefault(code, set()).add(version)

    def _is_plugin(self, item):
        return self._types[item[0]]["is_plugin"]

    def _matches(self, query, strict):
        """Return the (type, version) pairs that a query stands for."""
        code, wanted = _split(query)
        versions = self._versions.get(code, ())
        if wanted in versions:
            return [(code, wanted)]
        if not wanted:
            return [(code, version) for version in versions]
        if strict:
            return []
        start = _tokens(wanted)
        return [(code, v) for v in versions if start and _tokens(v)[: len(start)] == start]

    def _taking(self, products, plugin_matches):
        """Return those of ``products`` that can use one plug-in of each of the lists."""
        return set(
            product
            for product in products
            if all(self._partners[product].intersection(plugins) for plugins in plugin_matches)
        )

    def _partners_of(self, items):
        return set().union(*[self._partners[item] for item in items])

    def _entries(self, items):
        versions = {}
        for code, version in items:
            versions.setdefault(code, set()).add(version)
        return dict((code, self._entry(code, versions[code])) for code in versions)

    def _entry(self, code, versions):
        return dict(self._types[code], versions=sorted(versions, key=version_key))


def _split(query):
    code, _, version = to_text(query).strip().partition(":")
    return code.strip(), version.strip()


def _tokens(version):
    return _TOKENS.findall(version.lower())


def _token_key(token):
    if token.isdigit():
        return (3, int(token), "")
    return (0 if token in _PRE_RELEASES else 2, 0, token)

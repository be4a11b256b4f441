"""What differs between Python 2 and 3, so that no other module has to ask."""

from __future__ import unicode_literals

import os
import sys

PY2 = sys.version_info[0] == 2

if PY2:  # pragma: no cover - covered by the interpreters of the smoke test
    from urllib import quote as _quote  # novm

    import httplib as http_client  # novm

    text_type = unicode  # noqa: F821

    class Text(text_type):
        """Text of which ``'{0}/.+'.format(text)`` and ``text + '/größe'`` work with any name.

        Python 2 would convert by ASCII there, because those literals are byte strings.
        """

        def __add__(self, other):
            return Text(text_type.__add__(self, to_text(other)))

        def __format__(self, spec):
            text = text_type.__format__(self, text_type(spec))
            return text if isinstance(spec, text_type) else text.encode("utf-8")

        def __str__(self):
            return self.encode("utf-8")

    string_types = (str, unicode)  # noqa: F821
    integer_types = (int, long)  # noqa: F821  # novm
else:
    from http import client as http_client  # noqa: F401  # novm
    from urllib.parse import quote as _quote  # novm

    text_type = Text = str
    string_types = (str,)
    integer_types = (int,)


def to_text(value):
    """Return a string or path object as Unicode text.

    Python 2 programs pass byte strings: literals of their source (UTF-8 nearly always) and names
    that the operating system gave them (its own encoding), so both are tried in that order.

    Raises:
        TypeError: ``value`` is neither text nor a path.
    """
    if hasattr(value, "__fspath__"):
        value = value.__fspath__()
    if isinstance(value, text_type):
        return Text(value)
    if isinstance(value, bytes):
        try:
            return Text(value.decode("utf-8"))
        except UnicodeDecodeError:
            return Text(value.decode(sys.getfilesystemencoding() or "utf-8", "replace"))
    raise TypeError("expected text, not {0}".format(type(value).__name__))


def is_text(value):
    """Return whether ``value`` is text on this version of Python."""
    return isinstance(value, string_types)


def is_utf8(text):
    """Return whether ``text`` can travel. Python 3 keeps undecodable file names in surrogates."""
    try:
        text.encode("utf-8")
    except UnicodeError:
        return False
    return True


def list_folder(folder):
    """Return ``[(name, is_link, is_folder, is_file)]`` of a folder; the last two follow links.

    Raises:
        OSError: it cannot be read.
    """
    if hasattr(os, "scandir"):  # One system call per folder, where listdir needs three per name.
        entries = os.scandir(folder)  # novm
        return [
            _looked_at(folder, entry.name)
            if entry.is_symlink()  # Its is_dir() raises for a link that leads to itself.
            else (entry.name, False, entry.is_dir(), entry.is_file())
            for entry in entries
        ]
    return [_looked_at(folder, name) for name in os.listdir(folder)]


def _looked_at(folder, name):
    # Python 2 cannot join names that it could not decode; the caller refuses those.
    path = os.path.join(folder, name) if isinstance(name, text_type) else name
    return name, os.path.islink(path), os.path.isdir(path), os.path.isfile(path)


def quote_segment(text):
    """Percent-encode ``text`` as UTF-8 for use as one segment of a URL path."""
    # Python 2's quote() takes bytes only, and both Pythons take bytes.
    return to_text(_quote(to_text(text).encode("utf-8"), safe=b"" if PY2 else ""))


def with_unicode_str(exception_class):
    """Class decorator: ``str()`` of an exception never raises, whatever its message holds."""
    if PY2:
        exception_class.__unicode__ = exception_class.__str__
        exception_class.__str__ = lambda self: self.__unicode__().encode("utf-8")
    return exception_class

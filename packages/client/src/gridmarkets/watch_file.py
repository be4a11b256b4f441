"""Which results to download, and where to."""

from __future__ import unicode_literals

import os
import re

from gridmarkets import _patterns
from gridmarkets._compat import to_text
from gridmarkets.errors import InvalidRequestError

# Characters in folder names that are special in regular expressions.
_SPECIAL = re.compile(r"([.^$*+?{}\[\]\\|()])")


class WatchFile(object):
    """A pattern of remote paths and the local folder that matching results are downloaded to.

    Parameters:
        pattern: a regular expression for remote paths, matched from their beginning; usually
            ``'{0}/.+'.format(project.remote_output_folder)``.
        download_path: local folder. It is created when the first result arrives.

    Raises:
        InvalidRequestError: the pattern is not a regular expression, or uses something that Envoy
            cannot match (look-around, back-references and the like), or the folder is empty.
    """

    def __init__(self, pattern, download_path):
        self.pattern = to_text(pattern)
        self.download_path = to_text(download_path)
        construct = _patterns.construct_in(self.pattern)
        # A folder like 'c++' is taken literally, which can only be checked when the project is
        # submitted.
        if construct not in (None, _patterns.POSSESSIVE):
            raise _invalid("pattern", _patterns.message_about(construct))
        try:
            re.compile(self.pattern)
        # OverflowError: "a{99999999999}".
        except (re.error, OverflowError) as error:
            raise _invalid(
                "pattern",
                "'{0}' is not a regular expression: {1}.".format(self.pattern, error),
            )
        if not self.pattern:
            raise _invalid("pattern", "The pattern is empty.")
        if not self.download_path.strip():
            raise _invalid("download_path", "The download folder is empty.")

    @property
    def absolute_download_path(self):
        """The download folder as Envoy, which has another working directory, needs it."""
        return os.path.abspath(self.download_path)

    def pattern_for(self, remote_output_folder):
        """Return the pattern with a leading ``remote_output_folder`` taken literally.

        The documented way to make a pattern puts the folder's plain name into it, and names such
        as ``shot+lights`` would not match themselves.
        """
        if not self.pattern.startswith(remote_output_folder):
            return self.pattern
        rest = self.pattern[len(remote_output_folder) :]
        return _SPECIAL.sub(r"\\\1", remote_output_folder) + rest

    def __repr__(self):
        return str("WatchFile({0!r}, {1!r})").format(self.pattern, self.download_path)


def _invalid(field, message):
    return InvalidRequestError(message, errors={"watch_files." + field: [message]})

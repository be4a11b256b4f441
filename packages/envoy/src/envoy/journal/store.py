"""The journal: its parts over one database."""

from pathlib import Path

from envoy.journal.damage import Damage
from envoy.journal.database import Database
from envoy.journal.downloads import Downloads
from envoy.journal.hashes import Hashes
from envoy.journal.submissions import Submissions


class Journal:
    """Envoy's memory. Opening it creates or migrates the file."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path)
        self.damage = Damage()
        self.submissions = Submissions(self._database, self.damage)
        self.downloads = Downloads(self._database, self.damage)
        self.hashes = Hashes(self._database)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

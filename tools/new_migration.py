"""Write a migration of the farm's database from the difference to `farm.db.tables`.

.venv/bin/python tools/new_migration.py "what changes"
"""

import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config
from farm.db.engine.database import MIGRATIONS, Database


def main() -> None:
    """Migrate an empty database to the newest version, then let Alembic write the rest."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database.in_folder(Path(folder))
        database.migrate()
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
        with database.write() as connection:
            config.attributes["connection"] = connection
            count = len(list((MIGRATIONS / "versions").glob("*.py")))
            command.revision(config, sys.argv[1], autogenerate=True, rev_id=f"{count + 1:04d}")
        database.close()


main()

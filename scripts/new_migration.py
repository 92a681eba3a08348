"""Writes a migration for what the tables have and the newest migration lacks: new_migration.py 0002 "text"."""

import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config

from desdm.schema.database import Database

revision, message = sys.argv[1:3]
with tempfile.TemporaryDirectory() as folder:
    database = Database(f"sqlite:///{folder}/empty.sqlite")
    config = Config()
    config.set_main_option("script_location", str(Path("src/desdm/schema/migrations")))
    config.attributes["engine"] = database.engine
    command.upgrade(config, "head")
    command.revision(config, message=message, autogenerate=True, rev_id=revision)
    database.close()

"""Sessions of browsers and the record of users' tables leave the operations database for the service's own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Their rows were carried over before (desdm.schema.upgrade).
    op.execute("DELETE FROM access_token WHERE kind = 'session'")
    op.drop_table("mydb_table")
    text = "How often all sessions of browsers were ended (none: 0); one of an earlier count is refused"
    op.add_column("person", sa.Column("session_generation", sa.Integer(), nullable=True, comment=text))
    with op.batch_alter_table("access_token") as table:
        table.alter_column("kind", existing_type=sa.String(length=12), comment="api")
    if op.get_context().dialect.name == "postgresql":
        op.create_table_comment("access_token", "Tokens by which programs act for a person")

"""Jobs, denials and use of tokens leave the operations database: they stand in the service's own."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Their rows were carried over before (desdm.schema.upgrade).
    for name in ("uws_result", "uws_parameter", "uws_job", "access_denial"):
        op.drop_table(name)
    with op.batch_alter_table("access_token") as table:
        table.drop_column("last_used_at")

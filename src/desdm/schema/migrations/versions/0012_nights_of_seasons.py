"""Fields of the survey's plan say when their season begins and ends."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name, what in (("season_begin", "First"), ("season_end", "Last")):
        text = f"{what} night of the season; empty: not known"
        op.add_column(
            "survey_field",
            sa.Column(name, sa.String(length=8), server_default=sa.text("''"), nullable=False, comment=text),
        )

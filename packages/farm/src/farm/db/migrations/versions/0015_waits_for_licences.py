"""what an account had for nothing, without a licence, is found by its end"""

import sqlalchemy as sa
from alembic import op

revision = '0015'
down_revision = '0014'
branch_labels = None
depends_on = None


def upgrade() -> None:
    unlicensed = sa.text("outcome = 'no_licence'")
    op.create_index(
        'ix_claims_unlicensed', 'claims', ['ended_at'],
        sqlite_where=unlicensed, postgresql_where=unlicensed,
    )


def downgrade() -> None:
    op.drop_index('ix_claims_unlicensed', 'claims')

"""machine time is metered from one sign of life to the next"""

from datetime import UTC, datetime

import farm.db.columns
import sqlalchemy as sa
from alembic import op

revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None

UNPOSTED = 'machine time not charged yet'
METERED = 'its time up to here has been posted'


def upgrade() -> None:
    op.add_column('claims', sa.Column(
        'unposted_seconds', sa.Float(), nullable=False, server_default=sa.text('0'),
        comment=UNPOSTED))
    _keep_what_open_claims_have_worked()
    op.drop_column('claims', 'metered_at')


def _keep_what_open_claims_have_worked() -> None:
    claims = sa.table('claims', sa.column('id'), sa.column('unposted_seconds'), *[
        sa.column(name, farm.db.columns.Utc())
        for name in ('metered_at', 'heartbeat_at', 'ended_at')])
    connection = op.get_bind()
    for row in connection.execute(sa.select(claims).where(claims.c.ended_at.is_(None))).all():
        seconds = max(0.0, (row.heartbeat_at - row.metered_at).total_seconds())
        connection.execute(
            sa.update(claims).where(claims.c.id == row.id).values(unposted_seconds=seconds))


def downgrade() -> None:
    now = datetime.now(UTC).replace(tzinfo=None).isoformat(sep=' ')
    op.add_column('claims', sa.Column(
        'metered_at', farm.db.columns.Utc(), nullable=False, server_default=sa.text(f"'{now}'"),
        comment=METERED))
    op.drop_column('claims', 'unposted_seconds')

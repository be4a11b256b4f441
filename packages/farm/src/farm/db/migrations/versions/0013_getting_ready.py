"""runners tell of themselves while they get ready"""

import sqlalchemy as sa
from alembic import op

revision = '0013'
down_revision = '0012'
branch_labels = None
depends_on = None

COMMENT = 'while it got ready; NULL: not yet'


def upgrade() -> None:
    op.add_column('runners', sa.Column('heard_at', sa.DateTime(), nullable=True, comment=COMMENT))


def downgrade() -> None:
    op.drop_column('runners', 'heard_at')

"""slots of machine types that are changed while the farm runs"""

import sqlalchemy as sa
from alembic import op

revision = '0011'
down_revision = '0010'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('machine_slots',
    sa.Column('machine_type', sa.String(length=100), nullable=False),
    sa.Column('slots', sa.Integer(), nullable=False, comment='instead of those of the settings'),
    sa.PrimaryKeyConstraint('machine_type', name=op.f('pk_machine_slots'))
    )


def downgrade() -> None:
    op.drop_table('machine_slots')

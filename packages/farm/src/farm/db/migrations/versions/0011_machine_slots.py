"""slots of machine types that are changed while the farm runs; what an exit code says"""

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
    _comment_exit_code('-N: ended by signal N; NULL: never ran')


def downgrade() -> None:
    _comment_exit_code('NULL: killed, or never ran')
    op.drop_table('machine_slots')


def _comment_exit_code(comment: str) -> None:
    # SQLite keeps no comments.
    if op.get_context().dialect.name == 'postgresql':
        op.alter_column('claims', 'exit_code', existing_type=sa.Integer(), comment=comment)

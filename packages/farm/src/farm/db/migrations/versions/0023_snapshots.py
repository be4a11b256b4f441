"""submissions have snapshots of their projects"""

import sqlalchemy as sa
from alembic import op

revision = '0023'
down_revision = '0022'
branch_labels = None
depends_on = None


def upgrade() -> None:
    # What was submitted before has the files that its project has now: nobody knows better.
    for table, name, comment in (
        ('projects', 'snapshots', 'how many were taken'),
        ('manifest_entries', 'since', 'the first snapshot that has it'),
        ('submissions', 'snapshot', 'of the project: its files'),
    ):
        op.add_column(table, sa.Column(
            name, sa.BigInteger(), nullable=False, server_default=sa.text('1'), comment=comment))
    op.create_table(
        'replaced_entries',
        sa.Column('project_id', sa.String(length=32), nullable=False),
        sa.Column('path', sa.Text(), nullable=False),
        sa.Column('until', sa.BigInteger(), nullable=False,
                  comment='the first snapshot that lacks it'),
        sa.Column('since', sa.BigInteger(), nullable=False,
                  comment='the first snapshot that has it'),
        sa.Column('account_id', sa.String(length=32), nullable=False),
        sa.Column('hash', sa.String(length=64), nullable=False),
        sa.Column('size', sa.BigInteger(), nullable=False),
        sa.Column('mtime_ns', sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ['account_id', 'hash'], ['blobs.account_id', 'blobs.hash'],
            name=op.f('fk_replaced_entries_account_id_hash')),
        sa.ForeignKeyConstraint(
            ['project_id'], ['projects.id'], name=op.f('fk_replaced_entries_project_id')),
        sa.PrimaryKeyConstraint(
            'project_id', 'path', 'until', name=op.f('pk_replaced_entries')),
    )
    for columns in (['account_id', 'hash'], ['project_id', 'hash']):
        op.create_index(
            op.f(f'ix_replaced_entries_{"_".join(columns)}'), 'replaced_entries', columns)


def downgrade() -> None:
    op.drop_table('replaced_entries')
    op.drop_column('submissions', 'snapshot')
    op.drop_column('manifest_entries', 'since')
    op.drop_column('projects', 'snapshots')

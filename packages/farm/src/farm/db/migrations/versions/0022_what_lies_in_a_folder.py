"""what lies in a folder of a project is found by an index"""

from alembic import op

revision = '0022'
down_revision = '0021'
branch_labels = None
depends_on = None


def upgrade() -> None:
    # SQLite's primary key goes by bytes already.
    if op.get_bind().dialect.name == 'postgresql':
        op.create_index(
            'ix_manifest_entries_beneath', 'manifest_entries', ['project_id', 'path'],
            postgresql_ops={'path': 'text_pattern_ops'})


def downgrade() -> None:
    if op.get_bind().dialect.name == 'postgresql':
        op.drop_index('ix_manifest_entries_beneath', table_name='manifest_entries')

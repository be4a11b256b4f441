"""results of earlier submissions"""

import sqlalchemy as sa
from alembic import op

revision = '0025'
down_revision = '0024'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        'earlier_results',
        sa.Column('job_id', sa.String(length=32), nullable=False),
        sa.Column('needs_job_id', sa.String(length=32), nullable=False, comment='its results'),
        sa.Column('begins', sa.Text(), nullable=False, comment='their paths begin with it'),
        sa.Column('until', sa.DateTime(), nullable=False,
                  comment='when the newest of them was there'),
        sa.ForeignKeyConstraint(
            ['job_id'], ['jobs.id'], name=op.f('fk_earlier_results_job_id')),
        sa.ForeignKeyConstraint(
            ['needs_job_id'], ['jobs.id'], name=op.f('fk_earlier_results_needs_job_id')),
        sa.PrimaryKeyConstraint(
            'job_id', 'needs_job_id', 'begins', name=op.f('pk_earlier_results')),
    )
    op.create_index(
        op.f('ix_earlier_results_needs_job_id'), 'earlier_results', ['needs_job_id'])
    op.create_table(
        'replaced_outputs',
        sa.Column('job_id', sa.String(length=32), nullable=False),
        sa.Column('path', sa.Text(), nullable=False),
        sa.Column('created_at', sa.DateTime(), nullable=False),
        sa.Column('replaced_at', sa.DateTime(), nullable=False),
        sa.Column('account_id', sa.String(length=32), nullable=False),
        sa.Column('hash', sa.String(length=64), nullable=False),
        sa.Column('size', sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ['account_id', 'hash'], ['blobs.account_id', 'blobs.hash'],
            name=op.f('fk_replaced_outputs_account_id_hash')),
        sa.ForeignKeyConstraint(
            ['job_id'], ['jobs.id'], name=op.f('fk_replaced_outputs_job_id')),
        sa.PrimaryKeyConstraint(
            'job_id', 'path', 'created_at', name=op.f('pk_replaced_outputs')),
    )
    op.create_index(op.f('ix_submissions_project_id'), 'submissions', ['project_id'])
    _index_outputs('text_pattern_ops')


def downgrade() -> None:
    _index_outputs('text_ops')
    op.drop_index(op.f('ix_submissions_project_id'), table_name='submissions')
    op.drop_table('replaced_outputs')
    op.drop_table('earlier_results')


def _index_outputs(way: str) -> None:
    # SQLite's indexes go by bytes already.
    if op.get_bind().dialect.name == 'postgresql':
        op.drop_index(op.f('ix_outputs_submission_id_path'), table_name='outputs')
        op.create_index(
            op.f('ix_outputs_submission_id_path'), 'outputs', ['submission_id', 'path'],
            postgresql_ops={'path': way})

"""what people are told is called a message everywhere, as in the API"""

from alembic import op

revision = '0020'
down_revision = '0019'
branch_labels = None
depends_on = None

_TABLES = ('jobs', 'claims', 'frame_flags')


def upgrade() -> None:
    for table in _TABLES:
        op.alter_column(table, 'sentence', new_column_name='message')
    _comment("what the message is about; or ''")


def downgrade() -> None:
    for table in _TABLES:
        op.alter_column(table, 'message', new_column_name='sentence')
    _comment("what the sentence is about; or ''")


def _comment(text: str) -> None:
    # SQLite keeps none.
    if op.get_bind().dialect.name == 'postgresql':
        op.alter_column('jobs', 'reason', comment=text)

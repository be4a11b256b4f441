"""double entry, metering, budgets, notices"""

from datetime import UTC, datetime
from typing import Any

import farm.db.columns
import sqlalchemy as sa
from alembic import op

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None

APPEND_ONLY = ('ledger_entries', 'ledger_postings')


def _add(
    table: str, name: str, kind: sa.types.TypeEngine[Any], fill: str, comment: str | None = None
) -> None:
    """Add a NOT NULL column; rows that are there already get ``fill``."""
    default = sa.text(fill)
    op.add_column(
        table, sa.Column(name, kind, nullable=False, server_default=default, comment=comment)
    )


def upgrade() -> None:
    serial = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
    op.create_table('ledger_entries',
    sa.Column('id', serial, nullable=False),
    sa.Column('kind', sa.String(length=20), nullable=False),
    sa.Column('reference', sa.String(length=200), nullable=False, comment='charges happen once'),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('created_at', farm.db.columns.Utc(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_ledger_entries')),
    sa.UniqueConstraint('reference', name=op.f('uq_ledger_entries_reference'))
    )
    op.create_table('ledger_postings',
    sa.Column('id', serial, nullable=False),
    sa.Column('entry_id', serial, nullable=False),
    sa.Column('account_id', sa.String(length=32), nullable=True, comment="NULL: the farm's own"),
    sa.Column('amount_micros', sa.BigInteger(), nullable=False, comment='millionths of a credit'),
    sa.ForeignKeyConstraint(['entry_id'], ['ledger_entries.id'], name=op.f('fk_ledger_postings_entry_id')),
    sa.ForeignKeyConstraint(['account_id'], ['accounts.id'], name=op.f('fk_ledger_postings_account_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_ledger_postings'))
    )
    op.create_index(op.f('ix_ledger_postings_account_id_entry_id'), 'ledger_postings', ['account_id', 'entry_id'])
    op.create_index(op.f('ix_ledger_postings_entry_id'), 'ledger_postings', ['entry_id'])
    op.create_table('notices',
    sa.Column('id', serial, nullable=False),
    sa.Column('account_id', sa.String(length=32), nullable=False),
    sa.Column('subject', sa.String(length=200), nullable=False),
    sa.Column('text', sa.Text(), nullable=False),
    sa.Column('created_at', farm.db.columns.Utc(), nullable=False),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('not_before', farm.db.columns.Utc(), nullable=False, comment='next attempt'),
    sa.Column('sent_at', farm.db.columns.Utc(), nullable=True, comment='NULL until sent or given up'),
    sa.Column('error', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['account_id'], ['accounts.id'], name=op.f('fk_notices_account_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_notices'))
    )
    op.create_index(op.f('ix_notices_sent_at_not_before'), 'notices', ['sent_at', 'not_before'])
    _add('accounts', 'balance_micros', sa.BigInteger(), '0', 'derived from the ledger')
    _add('accounts', 'consumed_micros', sa.BigInteger(), '0', 'derived from the ledger')
    _add('jobs', 'budget_micros', sa.BigInteger(), '0', '0: none')
    _add('jobs', 'budget_action', sa.String(length=10), "''", "'' without a budget")
    _add('jobs', 'budget_acted', sa.Boolean(), 'false', 'a budget acts once')
    _add('jobs', 'suspended_for', sa.String(length=10), "''", "'' by its user")
    now = datetime.now(UTC).replace(tzinfo=None).isoformat(sep=' ')
    _add('claims', 'metered_at', farm.db.columns.Utc(), f"'{now}'", 'its time up to here has been posted')
    _carry_over()
    op.drop_table('ledger')
    _refuse_changes()


def _carry_over() -> None:
    """Give each movement that is there its other side."""
    op.execute(
        "INSERT INTO ledger_entries (id, kind, reference, reason, created_at)"
        " SELECT id, kind, reference, reason, created_at FROM ledger"
    )
    for account, sign in (('account_id', ''), ('NULL', '-')):
        op.execute(
            "INSERT INTO ledger_postings (entry_id, account_id, amount_micros)"
            f" SELECT id, {account}, {sign}amount_micros FROM ledger ORDER BY id"
        )
    op.execute(
        "UPDATE accounts SET"
        " balance_micros = (SELECT coalesce(sum(amount_micros), 0) FROM ledger"
        " WHERE ledger.account_id = accounts.id),"
        " consumed_micros = (SELECT coalesce(-sum(amount_micros), 0) FROM ledger"
        " WHERE ledger.account_id = accounts.id AND kind = 'usage')"
    )
    if op.get_bind().dialect.name == 'postgresql':
        # The ids were given by hand: the next one must follow them.
        op.execute(
            "SELECT setval(pg_get_serial_sequence('ledger_entries', 'id'),"
            " (SELECT coalesce(max(id), 0) + 1 FROM ledger_entries), false)"
        )


def _refuse_changes() -> None:
    """Make the ledger append-only, whoever tries."""
    if op.get_bind().dialect.name == 'postgresql':
        op.execute(
            "CREATE FUNCTION ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$"
        )
        for table in APPEND_ONLY:
            op.execute(
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table}"
                " FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only()"
            )
        return
    for table in APPEND_ONLY:
        for what in ('UPDATE', 'DELETE'):
            op.execute(
                f"CREATE TRIGGER {table}_no_{what.lower()} BEFORE {what} ON {table}"
                " BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
            )


def downgrade() -> None:
    raise NotImplementedError("what was posted on two sides is not made one-sided again")

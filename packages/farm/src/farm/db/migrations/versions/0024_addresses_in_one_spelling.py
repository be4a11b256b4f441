"""addresses of accounts in one spelling"""

import logging
import string
import unicodedata

import sqlalchemy as sa
from alembic import op

revision = '0024'
down_revision = '0023'
branch_labels = None
depends_on = None

logger = logging.getLogger('farm.db.migrations')

_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_LONGEST = 320


def upgrade() -> None:
    connection = op.get_bind()
    accounts = sa.table(
        'accounts', sa.column('id'), sa.column('email'), sa.column('created_at'))
    rows = connection.execute(
        sa.select(accounts.c.id, accounts.c.email).order_by(accounts.c.created_at, accounts.c.id)
    ).all()
    taken = {row.email for row in rows}
    for row in rows:
        address = _canonical(row.email)
        if address == row.email or len(address) > _LONGEST:
            continue
        if address in taken:
            # Each is found by its own spelling. ASCII: they look the same.
            logger.warning(
                'Two users have one address by now: %s and %s. Both stay, and each signs in with'
                ' its own spelling. Disable the one that nobody uses: farm users disable',
                ascii(row.email), ascii(address))
            continue
        connection.execute(
            sa.update(accounts).where(accounts.c.id == row.id).values(email=address))
        taken.add(address)


def _canonical(email: str) -> str:
    """As `farm_protocol.account.canonical_email` was then."""
    spelled = unicodedata.normalize('NFKC', email).strip().translate(_LOWER)
    return unicodedata.normalize('NFKC', spelled)


def downgrade() -> None:
    """Change nothing: older farms accept this spelling, too."""

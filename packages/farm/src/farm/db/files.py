"""Blobs of accounts, and how much they store."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import BigInteger, Connection, bindparam, insert, select, update

from farm.db.engine.prepared import Prepared
from farm.db.tables import accounts, blobs

# SQLite takes at most 32766 values in one statement.
_IN_LIMIT = 5000


def known_blobs(connection: Connection, account_id: str, hashes: Iterable[str]) -> dict[str, int]:
    """Return {hash: size} of those blobs that the account has."""
    wanted = sorted(set(hashes))
    found: dict[str, int] = {}
    for start in range(0, len(wanted), _IN_LIMIT):
        of = {"of_account": account_id, "of_hashes": wanted[start : start + _IN_LIMIT]}
        rows = connection.execute(_KNOWN_BLOBS, of)
        found.update((row.hash, row.size) for row in rows)
    return found


# Built once, since it is used for every frame.
_KNOWN_BLOBS = select(blobs.c.hash, blobs.c.size).where(
    blobs.c.account_id == bindparam("of_account"),
    blobs.c.hash.in_(bindparam("of_hashes", expanding=True)),
)


def add_blob(
    connection: Connection, account_id: str, blob_hash: str, size: int, now: datetime
) -> None:
    """Record a blob; an existing one stays unchanged."""
    if not known_blobs(connection, account_id, [blob_hash]):
        connection.execute(
            insert(blobs).values(account_id=account_id, hash=blob_hash, size=size, created_at=now)
        )
        add_stored(connection, account_id, size)


def add_stored(connection: Connection, account_id: str, size: int) -> None:
    """Raise the number of bytes that an account stores."""
    _ADD_STORED.run(connection, of_account=account_id, size=size)


_ADD_STORED = Prepared(
    update(accounts)
    .where(accounts.c.id == bindparam("of_account"))
    .values(stored_bytes=accounts.c.stored_bytes + bindparam("size", type_=BigInteger))
)


def any_blob(connection: Connection) -> bool:
    """Return whether any user has sent a file."""
    return connection.execute(select(blobs.c.hash).limit(1)).first() is not None

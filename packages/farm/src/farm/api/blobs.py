"""Blobs: what is missing, bytes in, bytes out."""

from farm_protocol.files import BlobHash, MissingAnswer, MissingRequest, Ticket
from fastapi import APIRouter, Request
from fastapi.responses import Response

from farm.api import transfer
from farm.api.context import Account, InContext
from farm.api.parsing import LargeBodyRoute
from farm.db import accounts as account_rows
from farm.db import files
from farm.stores.room import Quota

router = APIRouter(prefix="/v1", route_class=LargeBodyRoute)


@router.post("/blobs/missing")
def post_missing(context: InContext, account: Account, request: MissingRequest) -> MissingAnswer:
    """Return a ticket for each blob that the account does not have yet."""
    with context.database.read() as connection:
        known = files.known_blobs(connection, account.id, (blob.hash for blob in request.blobs))
        quota = transfer.quota_of(connection, account)
    wanted = {blob.hash: blob.size for blob in request.blobs if blob.hash not in known}
    if wanted:
        # Before anything is sent; each blob is checked again.
        context.room.check(account.id, sum(wanted.values()), quota)
    return MissingAnswer(tickets=[Ticket(hash=each, url=f"/v1/blobs/{each}") for each in wanted])


@router.put("/blobs/{blob_hash}", status_code=201)
async def put_blob(
    context: InContext, account: Account, blob_hash: BlobHash, request: Request
) -> None:
    """Receive a blob's bytes, and check them against the hash."""

    def quota() -> Quota:
        with context.database.read() as connection:
            # Not as it was when the request began: other blobs may have arrived since.
            return transfer.quota_of(connection, account_rows.by_id(connection, account.id))

    await transfer.receive(context, account.id, blob_hash, request, quota)


@router.get("/blobs/{blob_hash}")
def get_blob(
    context: InContext, account: Account, blob_hash: BlobHash, request: Request
) -> Response:
    """Return a blob's bytes."""
    return transfer.send(context, account.id, blob_hash, request.headers.get("range"))

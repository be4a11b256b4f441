"""HTTP calls to one farm: its address, the access key, time and size limits, and errors.

`FarmClient` adds the routes. A call to an embedded farm that is starting waits for it.
"""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar
from urllib.parse import urlsplit

import httpx
from farm_protocol.changes import Output, OutputList
from farm_protocol.files import FileEntry, Manifest, ProjectList, ProjectSummary
from farm_protocol.proof import Identity, ProofAnswer, ProofRequest, new_secret, same
from farm_protocol.sockets import is_another_users
from pydantic import BaseModel, TypeAdapter

from envoy.errors import EnvoyError, FarmUnreachableError, NotSignedInError
from envoy.farm.addresses import (
    Reach,
    Trace,
    only_as_far,
    only_to_own_user,
    origin,
    reach_of_farm,
    reach_of_host,
)
from envoy.farm.answers import (
    ANSWER_SECONDS,
    ERROR_BYTES,
    HEADERS,
    MOST_ROWS,
    SMALL_BYTES,
    Room,
    bound_head,
    check_status,
    content_of,
    endless,
    key_of,
    no_cookies,
    understood,
    unreachable,
    within,
)

T = TypeVar("T")
Page = TypeVar("Page", Manifest, OutputList, ProjectList)
Row = TypeVar("Row", FileEntry, Output, ProjectSummary)

START_SECONDS = 20.0
"""How long a call waits for an embedded farm that is starting."""
HEALTH_SECONDS = 3.0
LIST_SECONDS = 300.0
"""For all pages of a list."""
AGAIN_SECONDS = 0.1
"""Pause before a call is repeated that found no embedded farm at its address."""
EMBEDDED = "embedded"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class FarmCalls:
    """Makes calls to one farm on behalf of one account.

    Parameters:
        url: the farm's address; "" for an embedded one that is still to start (`set_url`).
    """

    def __init__(self, url: str = "") -> None:
        loopback = not url or urlsplit(url).hostname in _LOOPBACK
        self._http = httpx.AsyncClient(
            headers=HEADERS,
            cookies=no_cookies(),
            event_hooks={"request": [bound_head] if url else [bound_head, only_to_own_user]},
            timeout=httpx.Timeout(60.0, connect=5.0, pool=None),
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=16),
            # A proxy of the environment must not see local data; and loading
            # the certificate store costs more than the rest of the start.
            trust_env=not loopback,
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if loopback else True,
        )
        self._ready = asyncio.Event()
        self._is_embedded = not url
        self._missed = asyncio.Event()
        self._access_key = ""
        self.account = ""
        # The farm's reach when it last issued tickets.
        self._reach = reach_of_host(urlsplit(url).hostname or "localhost")
        self._is_elsewhere = False
        self.sign_ins = 0
        """How often somebody has signed in: a refusal from before may be about an older key."""
        self.url = ""
        self.set_url(url)

    def set_url(self, url: str) -> None:
        """Set the farm's address; "" when it is gone, which makes calls wait for its return."""
        self.url = url.rstrip("/")
        if self.url:
            self._ready.set()
        else:
            self._ready.clear()

    async def missed(self, seconds: float) -> None:
        """Return as soon as a call finds no farm at its address, or after ``seconds``."""
        self._missed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._missed.wait()

    @property
    def identity(self) -> str:
        """Which farm this is, as far as an access key is concerned: its address, or "embedded".

        The embedded farm's address changes, but it has proved to be ours.
        """
        return EMBEDDED if self._is_embedded else origin(self.url)

    def act_for(self, account: str, access_key: str) -> None:
        """Make all later calls on behalf of this account."""
        self.sign_ins += 1
        self.account = account
        self._access_key = access_key

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def is_at_home(self, farm: Identity) -> bool:
        """Return whether the program at a farm's address is that farm.

        If not, it learns neither the secret nor anything that it could show to others; see
        `farm_protocol.proof`.
        """
        nonce = new_secret()
        asked = ProofRequest(nonce=nonce, proof=farm.callers_proof(nonce)).model_dump_json()
        headers = {"Content-Type": "application/json"}
        address = f"{farm.url.rstrip('/')}/v1/proof"
        try:
            async with (
                within(HEALTH_SECONDS),
                self._http.stream("POST", address, content=asked, headers=headers) as response,
            ):
                content = await content_of(response, SMALL_BYTES)
            check_status(response, content)
            answer = await understood(TypeAdapter(ProofAnswer), content, address)
        except (EnvoyError, httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError):
            return False
        return same(answer.proof, farm.farms_proof(nonce))

    async def _pages(
        self,
        room: Room,
        path: str,
        model: type[Page],
        rows_of: Callable[[Page], Sequence[Row]],
        most: int,
    ) -> list[Row]:
        """Return all rows of a list that comes in pages by path or name.

        Parameters:
            room: for all pages together.
            rows_of: those of a page.
            most: bytes of a page.
        """
        found: list[Row] = []
        cursors, last = set[str](), ""
        async with within(LIST_SECONDS):
            while last not in cursors and len(found) <= MOST_ROWS:
                cursors.add(last)
                content = await self._send("GET", path, params=[("after", last)], most=most)
                room.take(len(content))
                page = await understood(TypeAdapter(model), content, path)
                found += rows_of(page)
                if not page.more:
                    return found
                last = key_of(found[-1]) if rows_of(page) else ""
        raise endless(room.what)

    async def _call(
        self,
        method: str,
        path: str,
        model: type[T],
        *,
        json: BaseModel | None = None,
        params: Sequence[tuple[str, str]] = (),
        signed: bool = True,
        most: int = SMALL_BYTES,
    ) -> T:
        content = await self._send(method, path, json=json, params=params, signed=signed, most=most)
        return await understood(TypeAdapter(model), content, path)

    async def _send(
        self,
        method: str,
        path: str,
        *,
        json: BaseModel | None = None,
        params: Sequence[tuple[str, str]] = (),
        signed: bool = True,
        most: int = SMALL_BYTES,
        waits: float = 0.0,
        look: Callable[[httpx.Response], None] = lambda _: None,
    ) -> bytes:
        """Return the body of a successful answer.

        Parameters:
            most: bytes that it may have.
            waits: seconds that the farm may take on purpose.
            look: called with the answer while it is still connected.
        """
        headers = self._authorization() if signed else {}
        if json is not None:
            headers["Content-Type"] = "application/json"
        until = asyncio.get_running_loop().time() + START_SECONDS
        while True:
            try:
                async with (
                    within(waits + ANSWER_SECONDS),
                    self._http.stream(
                        method,
                        await self._address() + path,
                        # An older farm refuses fields that it does not know, even without a value.
                        content=None if json is None else json.model_dump_json(exclude_none=True),
                        params=list(params) or None,
                        headers=headers,
                        timeout=httpx.Timeout(waits + 60.0, connect=5.0, pool=None),
                        extensions=self._not_here(),
                    ) as response,
                ):
                    look(response)
                    if not self._is_embedded and not self._is_elsewhere:
                        self._is_elsewhere = reach_of_farm(self.url, response) > Reach.THIS_MACHINE
                    content = await content_of(
                        response, most if response.is_success else ERROR_BYTES
                    )
            except httpx.ConnectError as error:
                # Nothing was sent. An embedded farm that has just ended is started again at once.
                if not self._is_embedded or asyncio.get_running_loop().time() > until:
                    raise unreachable(error) from error
                self._missed.set()
                await asyncio.sleep(AGAIN_SECONDS)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise unreachable(error) from error
            else:
                check_status(response, content)
                return content

    def _not_here(self) -> dict[str, Trace]:
        """Return what ends a call to this machine, for a farm that was elsewhere before.

        Its operator may point its name here, to programs that only this machine can reach. Another
        network is fine: inside a studio its name may mean another address.
        """
        if not self._is_elsewhere:
            return {}
        return {"trace": only_as_far(httpx.URL(self.url), Reach.NETWORK, own=True)}

    def _authorization(self) -> dict[str, str]:
        if not self._access_key:
            raise NotSignedInError
        return {"Authorization": f"Bearer {self._access_key}"}

    async def _address(self) -> str:
        if not self.url:
            try:
                async with asyncio.timeout(START_SECONDS):
                    await self._ready.wait()
            except TimeoutError:
                raise FarmUnreachableError("The farm has not started yet.") from None
        if self._is_embedded and is_another_users(self.url):
            self._missed.set()
            raise FarmUnreachableError(
                "The farm on this machine has ended, and another user's program has taken its port."
            )
        return self.url

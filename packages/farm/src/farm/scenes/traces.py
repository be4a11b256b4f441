"""Missing files of scenes: traced in separate threads, and each question only once.

An answer depends on the scene's path, the bytes of every .blend and path map, and the path of every
other file: they form its key in a cache of the newest answers.
"""

import logging
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from farm_protocol.hashing import new_hasher
from farm_protocol.path_maps import is_map

from farm.confine.readers import DEFAULT, Readers
from farm.errors import StorageFullError
from farm.scenes.blend_assets import (
    MissingAsset,
    NoRoomError,
    UnreadableBlendError,
    is_blend,
    missing_assets,
)

logger = logging.getLogger(__name__)

_THREADS = 3
_OF_AN_ACCOUNT = 2
"""Scenes that are traced at a time, and those of one account: one more is always left for whoever
has none."""
_FORGOTTEN_SECONDS = 300.0
"""Half-life of the time that an account's scenes have taken."""
_TRIFLE = 0.01
"""Seconds below which times are forgotten."""
_MOST_ANSWERS = 100
MOST_WAITING = 2000
"""Scenes of one account; the newest are the ones that somebody waits for."""
MOST_VERSIONS = 4
"""Of projects' files that the waiting scenes of one account belong to."""


@dataclass(frozen=True)
class Files:
    """The files of a project.

    Attributes:
        owner: account that owns the files.
        hashes: of each file by remote path, sorted, and not all in memory; "" of one that is still
            to be sent, which is no .blend.
        lent: context that yields a function from a hash to its file.
    """

    owner: str
    hashes: Mapping[str, str]
    lent: Callable[[], AbstractContextManager[Callable[[str], Path]]]

    @contextmanager
    def places(self) -> Iterator[Mapping[str, Path]]:
        """Yield the place of each file. Computed on demand, since only scenes are read."""
        with self.lent() as place:
            yield _Places(self.hashes, place)

    def key(self) -> str:
        """Return a text that changes as soon as anything relevant does."""
        hasher = new_hasher()
        hasher.update(self.owner.encode())
        for path, content in self.hashes.items():
            counts = content if is_blend(path) or is_map(path) else ""
            hasher.update(f"\0{path}\0{counts}".encode("utf-8", "surrogatepass"))
        return hasher.hexdigest()


class _Places(Mapping[str, Path]):
    def __init__(self, hashes: Mapping[str, str], place: Callable[[str], Path]) -> None:
        self._hashes, self._place = hashes, place

    def __getitem__(self, path: str) -> Path:
        return self._place(self._hashes[path])

    def __iter__(self) -> Iterator[str]:
        return iter(self._hashes)

    def __len__(self) -> int:
        return len(self._hashes)


@dataclass(frozen=True)
class Traced:
    """What is known about a scene.

    Attributes:
        missing: what it lacks; the first 1000.
        more: how many others it lacks.
        unknown: how many others were not checked, since that would have taken too long.
        failure: why nothing is known, as a message; "" otherwise.
    """

    missing: tuple[MissingAsset, ...] = ()
    more: int = 0
    unknown: int = 0
    failure: str = ""


@dataclass(frozen=True)
class _Work:
    key: tuple[str, str]
    scene: str
    files: Files
    answer: "Future[Traced]"


class Traces:
    """Traces scenes, two of an account at a time; callable from any thread.

    Accounts take turns: next is the one whose scenes have taken the least time recently.
    """

    def __init__(self, readers: Readers = DEFAULT) -> None:
        """Start nothing before the first question.

        Parameters:
            readers: how to start the processes that read scenes.
        """
        self._readers = readers
        self._changed = threading.Condition()
        self._answers: OrderedDict[tuple[str, str], Future[Traced]] = OrderedDict()
        # Of whoever waits; of two who have taken as little time, the next one first.
        self._waiting: OrderedDict[str, deque[_Work]] = OrderedDict()
        self._at_work: Counter[str] = Counter()
        # Seconds of each account, and when they were counted.
        self._taken: dict[str, tuple[float, float]] = {}
        self._threads = 0

    def ask(self, scene: str, files: Files, files_key: str) -> "Future[Traced]":
        """Return the answer, which may be there already, or be on its way for another.

        If too many of the account wait, the oldest are answered as not checked.

        Parameters:
            scene: remote path of one of the files.
            files_key: `Files.key`, since several scenes may share the files.
        """
        key = (scene, files_key)
        with self._changed:
            if (known := self._answers.get(key)) is not None:
                self._answers.move_to_end(key)
                return known
            answer: Future[Traced] = Future()
            self._answers[key] = answer
            if len(self._answers) > _MOST_ANSWERS:
                self._answers.popitem(last=False)
            if self._threads < _THREADS:
                self._threads += 1
                # The farm must be able to end without waiting minutes for a scene.
                threading.Thread(target=self._run, name="assets", daemon=True).start()
            mine = self._waiting.setdefault(files.owner, deque())
            mine.append(_Work(key, scene, files, answer))
            dropped = self._too_many(mine)
            self._changed.notify()
        for work in dropped:
            work.answer.set_result(Traced(failure=_not_looked_for(work)))
        return answer

    def _too_many(self, mine: deque[_Work]) -> list[_Work]:
        versions = list(dict.fromkeys(work.key[1] for work in mine))
        kept = set(versions[-MOST_VERSIONS:])
        dropped = []
        while len(mine) > MOST_WAITING or mine[0].key[1] not in kept:
            work = mine.popleft()
            self._answers.pop(work.key, None)
            dropped.append(work)
        return dropped

    def _next(self) -> _Work:
        with self._changed:
            while (owner := self._next_owner()) is None:
                self._changed.wait()
            mine = self._waiting.pop(owner)
            work = mine.popleft()
            if mine:
                self._waiting[owner] = mine  # Behind all others.
            self._at_work[owner] += 1
            return work

    def _next_owner(self) -> str | None:
        """Return the account whose turn it is; None: no waiting account may have one."""
        leaves_one = self._at_work.total() < _THREADS - 1
        may = (
            owner
            for owner in self._waiting
            if not self._at_work[owner] or (leaves_one and self._at_work[owner] < _OF_AN_ACCOUNT)
        )
        return min(may, key=self._lately, default=None)

    def _lately(self, owner: str) -> float:
        seconds, counted = self._taken.get(owner, (0.0, 0.0))
        return float(seconds * 0.5 ** ((time.monotonic() - counted) / _FORGOTTEN_SECONDS))

    def _run(self) -> None:
        while True:
            work = self._next()
            began = time.monotonic()
            work.answer.set_result(self._trace(work))
            with self._changed:
                self._over(work.files.owner, began)

    def _over(self, owner: str, began: float) -> None:
        self._at_work -= Counter([owner])
        now = time.monotonic()
        self._taken[owner] = self._lately(owner) + now - began, now
        for each in [each for each in self._taken if self._lately(each) < _TRIFLE]:
            del self._taken[each]
        self._changed.notify_all()

    def _trace(self, work: _Work) -> Traced:
        try:
            with work.files.places() as places:
                found = missing_assets(work.scene, places, readers=self._readers)
        except (NoRoomError, StorageFullError) as error:
            # The disk may have room for the next request.
            logger.warning("%s could not be read: %s", work.scene, error)
            with self._changed:
                self._answers.pop(work.key, None)
            return Traced(failure=_not_looked_for(work))
        except UnreadableBlendError as error:
            return Traced(failure=str(error))
        except Exception:
            # An error of the reader or the machine, not of the scene: the next request retries.
            logger.exception("%s could not be read", work.scene)
            with self._changed:
                self._answers.pop(work.key, None)
            return Traced(failure=_not_looked_for(work))
        return Traced(tuple(found.assets), found.more, found.unknown)


def _not_looked_for(work: _Work) -> str:
    return f"The farm could not find out which files {work.scene} needs."

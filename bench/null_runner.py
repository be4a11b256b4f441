"""A runner that reports frames without their files, to see what the files cost.

The protocol wants at least one file a frame: every frame names the same tiny blob, sent once a
claim. Nothing is decoded, hashed or sent for the single frame; all else is `farm.runner`.
"""

import sys

from farm.runner.__main__ import main
from farm.runner.results.delivery import FrameFiles, Results
from farm_protocol.hashing import hash_file
from farm_protocol.runner import FrameDone, OutputFile


class SharedResults(Results):
    """Reports frames with the one file."""

    _blob: tuple[str, int] | None = None

    def send(self, frame: FrameFiles) -> None:
        """Report one frame."""
        if self._blob is None:
            self._blob = self._send_blob()
        digest, size = self._blob
        outputs = [
            OutputFile(path=f"{self._remote_folder}/{name}", hash=digest, size=size)
            for name in self._expected[frame.frame]
        ]
        done = FrameDone(frame=frame.frame, seconds=frame.seconds, outputs=outputs)
        self._farm.frame_done(self._claim_id, done)
        self.sent.add(frame.frame)

    def _send_blob(self) -> tuple[str, int]:
        path = self._place.taken / "shared"
        path.write_bytes(b"the file of all frames")
        digest, size = hash_file(path)
        self._farm.upload(digest, path)
        return digest, size


if __name__ == "__main__":
    sys.exit(main(SharedResults))

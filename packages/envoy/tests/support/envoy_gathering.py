"""Submitting a scene and nothing else, and what the farm then has."""

from pathlib import Path
from typing import Any

from envoy_fake_farm import EMAIL
from envoy_studio import Studio


def scene_body(studio: Studio, artist: Path, scene: str, **changes: Any) -> dict[str, Any]:
    """Return a submission of a scene of ``desk/film``, and of nothing else."""
    film = str(artist / "desk" / "film")
    body = studio.body([scene], **changes)
    body["project_files"]["localRoot"] = film
    body["project_request"]["params"]["local_root"] = film
    body["project_request"]["jobs"][0]["path"] = f"demo/{scene}"
    return body


async def submit(studio: Studio, artist: Path, scene: str, **changes: Any) -> dict[str, Any]:
    """Submit a scene and nothing else; return Envoy's answer when the farm has all."""
    body = scene_body(studio, artist, scene, **changes)
    answer = await studio.http.post("/project-submit", json=body)
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()
    await studio.until_state(told["submission_id"], "submitted")
    return told


def sent(studio: Studio) -> dict[str, bytes]:
    """Return the files that the farm has of the project."""
    entries = studio.farm.manifests[EMAIL, "demo"]
    return {path: studio.farm.blobs[EMAIL, each.hash] for path, each in entries.items()}

"""Run into the errors of the library on purpose, and handle each as a program should."""

from __future__ import print_function

import os

from gridmarkets import APIError, AuthenticationError, InsufficientCreditsError
from gridmarkets import EnvoyClient, InvalidRequestError, Job, Project

URL = os.environ.get("ENVOY_URL", "http://localhost:8090")
EMAIL = os.environ.get("ENVOY_EMAIL", "artist@example.com")
PASSWORD = os.environ.get("ENVOY_PASSWORD", "artist-password")
EXAMPLES = os.path.dirname(os.path.abspath(__file__))


def submit(email=EMAIL, password=PASSWORD, url=URL):
    """Try to submit a job with two mistakes."""
    try:
        client = EnvoyClient(email=email, access_key=password, url=url)
        project = Project(os.path.join(EXAMPLES, "sample_project"))
        project.add_files(project.LocalRoot, project.RemoteRoot)
        path = "sample_project/scene.blend"
        project.add_jobs(Job("wrong", "blender", "", "render", path, frames="9 1", engine="pov"))
        client.submit_project(project)
    except AuthenticationError as error:
        print("Ask for the password again. {0}".format(error))
    except InsufficientCreditsError as error:
        print("Ask for credits. {0}".format(error))
    except InvalidRequestError as error:
        for field in sorted(error.errors):
            print("Mark the field {0}: {1}".format(field, " ".join(error.errors[field])))
    except APIError as error:
        # Envoy does not run, does not answer, or something else went wrong.
        print("{0}: {1}".format("Try again later" if error.retry else "Give up", error))


submit()
submit(EMAIL, "not the password")
submit(url="http://localhost:9")

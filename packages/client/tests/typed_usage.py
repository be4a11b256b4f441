"""Checked by mypy and pyright, both strict (`make check`); never run.

What is wrong on purpose carries the error that it must cause: a stub that became too lenient makes
the comment superfluous, which is an error too.
"""

from pathlib import Path

from gridmarkets import EnvoyClient, InvalidRequestError, Job, ProductResolver, Project, WatchFile


def submit(folder: Path) -> str:
    client = EnvoyClient(email="a@example.com", access_key="key", url=None, token="t" * 43)
    accepted: bool = client.authenticate("a@example.com", "password")
    resolver: ProductResolver = client.get_product_resolver()
    versions: list[str] = resolver.get_versions_by_type("blender")
    project = Project(folder, name="p", submission_name="s", project_env={"A": "b"})
    project.add_files(project.LocalRoot, project.RemoteRoot, ["scene.blend"])
    project.add_files(folder / "assets", project.RemoteRoot + "/assets")
    project.add_files("a.blend", folder / "b.blend")
    project.add_folders("assets")
    job = Job("n", "blender", versions[-1], "render", "p/scene.blend", frames="1 2", instances=5)
    job.set_credits_budget(value=50, action=Job.CREDITS_BUDGET_ACTION_STOP)
    job.add_dependencies(Job(name="first", app="blender", app_version="", path="p/scene.blend"))
    project.add_jobs(job)
    project.add_watch_files(WatchFile(project.remote_output_folder + "/.+", folder / "results"))
    machines = client.get_machines("c4d", "render", EnvoyClient.MACHINE_CATEGORY_GPU, ["arnold"])
    name: str = client.submit_project(project, skip_upload=True, skip_auto_download=not accepted)
    last = client.wait_for_project(name, timeout=60, on_progress=lambda progress: print(progress))
    client.stop_job(job)
    client.retry_job(client.get_jobs(name)[0]["id"])
    log: str = client.get_job_log(job)
    return log + str(machines) + str(last) + str(client.get_results(name))


def explain(error: InvalidRequestError) -> "list[str]":
    return [f"{field}: {message}" for field, texts in error.errors.items() for message in texts]


def wrong(client: EnvoyClient, project: Project) -> None:
    client.submit_project("sample_project")  # type: ignore[arg-type]
    project.add_jobs("beauty")  # type: ignore[arg-type]
    project.LocalRoot = "/elsewhere"  # type: ignore[misc]
    client.wait_for_project(project)  # type: ignore[arg-type]
    Job("n", "blender")  # type: ignore[call-arg]

"""Find a job by its name or a prefix of it, its number, or its run's directory."""

from pathlib import Path

from crowdbench.errors import LaunchError
from crowdbench.jobs.job import Job, find_jobs


def find_job(root: Path, name: str) -> Job:
    """Find a job by its name, the beginning of it, its number or its run's directory; raises LaunchError."""
    found = _find(root, name)
    found.order()
    return found


def _find(root: Path, name: str) -> Job:
    jobs = list(find_jobs(root.absolute()))
    wanted = str(Path(name).absolute())
    exact = [job for job in jobs if name == job.name or wanted == str(job.folder)]
    if exact:
        return exact[0]
    matching = []
    for job in jobs:
        ticket, state = job.ticket(), job.state()
        runs = state.runs if state is not None else []
        if (
            job.name.startswith(name)
            or (ticket is not None and ticket.job_id == name)
            or wanted in runs
            or any(Path(run).name == name for run in runs)
        ):
            matching.append(job)
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise LaunchError(
            f"{name!r} may be any of {len(matching)} jobs: {', '.join(job.name for job in matching[:5])}"
            f"{', ...' if len(matching) > 5 else ''}.\nSay more of the name."
        )
    known = ", ".join(job.name for job in jobs[-5:]) or "none"
    raise LaunchError(
        f"no job in {root} is called {name!r}.\nSome are: {known}. `crowdbench status` lists all."
    )

"""Clients of the queues that jobs were submitted to, each asked once."""

import logging
from collections.abc import Sequence

from crowdbench.errors import CrowdbenchError
from crowdbench.jobs.job import JobSpec, Submission
from crowdbench.jobs.launcher import Queue, QueueStatus, load_queue

log = logging.getLogger("crowdbench")


class QueueClients:
    """Queries each queue once, for all jobs that were submitted to it."""

    def __init__(self) -> None:
        self._known: dict[str, Queue | CrowdbenchError] = {}

    def of(self, launcher: str) -> Queue:
        """The queue of a launcher; raises CrowdbenchError if it is not installed."""
        if launcher not in self._known:
            try:
                self._known[launcher] = load_queue(launcher)
            except CrowdbenchError as error:
                self._known[launcher] = error
        found = self._known[launcher]
        if isinstance(found, CrowdbenchError):
            raise found
        return found

    def query(
        self, asked: Sequence[tuple[JobSpec, Submission]]
    ) -> tuple[dict[tuple[str, str], QueueStatus], list[str]]:
        """What queues say, by launcher and number; and what keeps others from saying it."""
        seen: dict[tuple[str, str], QueueStatus] = {}
        problems = []
        for launcher in sorted({order.launcher for order, _ in asked}):
            tickets = [ticket for order, ticket in asked if order.launcher == launcher]
            try:
                found = self.of(launcher).query(tickets)
            except CrowdbenchError as error:
                problems.append(str(error).splitlines()[0])
                continue
            seen.update(((launcher, number), what) for number, what in found.items())
            seen.update(
                ((launcher, ticket.job_id), QueueStatus("ended"))
                for ticket in tickets
                if ticket.job_id not in found
            )
        return seen, problems

    def explain_exit(self, launcher: str, ticket: Submission, seen: QueueStatus) -> str:
        """Why a job was lost, as far as its queue and its logs tell."""
        try:
            return self.of(launcher).explain_exit(ticket, seen)
        except (CrowdbenchError, OSError) as error:
            log.debug("%s: %s", ticket.job_id, error)
            return "killed"

"""
Feed background jobs through a queue, with a limit, retries, and an orderly end.

It submits twenty jobs, some of which fail at first, and waits for them all.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import eventlet

if TYPE_CHECKING:
    from collections.abc import Callable


# --- feed
class Jobs:
    """
    Run jobs in a few green threads, in the order they were submitted.

    Args:
        workers: How many jobs run at a time.
        backlog: How many may wait; ``submit`` waits while there are more.
        attempts: How often a job is tried.
    """

    def __init__(self, workers: int = 4, backlog: int = 100, attempts: int = 3) -> None:
        self._queue = eventlet.Queue(backlog)
        self._attempts = attempts
        self._workers = [eventlet.spawn(self._work) for _ in range(workers)]

    def submit(self, job: Callable[..., Any], *args: Any) -> eventlet.Event:
        """Queue a job; the event gives its result, or raises what it raised last."""
        outcome = eventlet.Event()
        self._queue.put((outcome, job, args))
        return outcome

    def close(self) -> None:
        """Finish what was submitted, then end the workers."""
        self._queue.join()
        for worker in self._workers:
            worker.kill()

    def _work(self) -> None:
        while True:
            outcome, job, args = self._queue.get()
            try:
                outcome.send(self._try(job, args))
            except Exception as error:  # noqa: BLE001 - a failure is the submitter's
                outcome.send_exception(error)
            finally:
                self._queue.task_done()

    def _try(self, job: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        for attempt in range(1, self._attempts):
            with contextlib.suppress(Exception, eventlet.Timeout), eventlet.Timeout(5):
                return job(*args)
            eventlet.sleep(0.01 * 2**attempt)
        with eventlet.Timeout(5):
            return job(*args)


# --- main
def main() -> None:
    """Submit jobs that fail at first, and one that always does."""
    tries: dict[int, int] = {}

    def job(number: int) -> int:
        tries[number] = tries.get(number, 0) + 1
        eventlet.sleep(0.02)
        if number == 13 or (number % 5 == 0 and tries[number] < 2):
            message = f"job {number}, attempt {tries[number]}"
            raise OSError(message)
        return number * number

    jobs = Jobs()
    outcomes = [jobs.submit(job, number) for number in range(20)]
    for number, outcome in enumerate(outcomes):
        try:
            assert outcome.wait() == number * number
        except OSError as error:
            print("given up:", error)
    jobs.close()
    assert tries[5] == 2
    assert tries[13] == 3


if __name__ == "__main__":
    main()

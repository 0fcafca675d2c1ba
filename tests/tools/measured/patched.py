"""As green.py, in the threads of a program that is patched."""

import eventlet

eventlet.monkey_patch()

import concurrent.futures
import queue
import threading
import time


def run(done, count):
    total = 0
    for number in range(count):
        time.sleep(0.001)
        total += number
    if total > 100:
        total = 0  # never
    done.put(total)
    after = total
    return after


def work(number):
    time.sleep(0.001)
    result = number
    return result


def around(lock):
    with lock:
        time.sleep(0.001)
        held = 1
    return held


def main():
    done = queue.Queue()
    lock = threading.Lock()
    before = [eventlet.spawn(around, lock) for _ in range(2)]
    threads = [threading.Thread(target=run, args=(done, 3)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = done.get() + done.get()
    with concurrent.futures.ThreadPoolExecutor(2) as executor:
        total += sum(executor.map(work, range(3)))
    for thread in before:
        total += thread.wait()
    if total > 100:
        total = 0  # never
    return total


main()

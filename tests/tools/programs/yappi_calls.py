"""yappi counts every call, and the CPU time of each green thread as its own."""
# needs: yappi

import time

import yappi

import eventlet
import greenlet


def burn(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def much():
    for _ in range(10):
        burn(0.02)
        eventlet.sleep(0)


def little():
    for _ in range(10):
        burn(0.005)
        eventlet.sleep(0)


yappi.set_context_backend("greenlet")
yappi.set_context_id_callback(lambda: id(greenlet.getcurrent()))
yappi.set_clock_type("cpu")
yappi.start()
threads = [eventlet.spawn(much), eventlet.spawn(little)]
for thread in threads:
    thread.wait()
yappi.stop()
stats = {stat.name: stat for stat in yappi.get_func_stats()}
assert stats["burn"].ncall == 20, stats["burn"].ncall
assert stats["much"].ncall == stats["little"].ncall == 1
assert 0.19 < stats["much"].ttot < 0.24, stats["much"].ttot
assert 0.04 < stats["little"].ttot < 0.09, stats["little"].ttot
print("pass")

"""Inverting a matrix of 600x600, the deepest C code known, leaves other stacks intact."""

# needs: numpy

import numpy as np

import eventlet

matrix = np.random.default_rng(1).random((600, 600)) + np.eye(600) * 600
expected = np.linalg.inv(matrix)
done = []


def neighbour(number):
    values = [f"{number}-{place}" for place in range(200)]
    for _ in range(3):
        eventlet.sleep(0)
        assert values == [f"{number}-{place}" for place in range(200)]
    return number


def invert(number):
    eventlet.sleep(0)
    result = np.linalg.inv(matrix)
    eventlet.sleep(0)
    assert np.array_equal(result, expected)
    done.append(number)


green = []
for number in range(50):
    green.append(eventlet.spawn(neighbour, number))
    eventlet.spawn(invert, number)
assert [thread.wait() for thread in green] == list(range(50))
while len(done) < 50:
    eventlet.sleep(0)
assert sorted(done) == list(range(50))
print("pass")

"""SystemExit of a green thread that a coroutine kills ends the loop, not a SystemError."""

import asyncio

import eventlet


def victim():
    try:
        eventlet.sleep(10)
    finally:
        eventlet.spawn_n(int)
        raise SystemExit(3)


async def killer():
    green = eventlet.spawn(victim)
    await asyncio.sleep(0.01)
    green.kill()


try:
    asyncio.run(killer())
except SystemExit as error:
    assert error.code == 3
else:
    raise AssertionError
assert eventlet.spawn(int).wait() == 0
print("pass")

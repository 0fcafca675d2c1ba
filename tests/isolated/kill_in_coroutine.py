"""SystemExit of a green thread that a coroutine kills reaches the coroutine, not a SystemError."""

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
    try:
        green.kill()
    except SystemExit as error:
        return error.code
    return None


assert asyncio.run(killer()) == 3
assert eventlet.spawn(int).wait() == 0
print("pass")

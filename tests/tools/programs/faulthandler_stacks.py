"""faulthandler shows the stack of the green thread that runs, and no other one."""

import faulthandler

import eventlet


def inner():
    eventlet.sleep(0)
    with open("out", "w+") as file:
        faulthandler.dump_traceback(file)
        file.seek(0)
        seen.append(file.read())


def suspended():
    eventlet.sleep(1)


seen = []
eventlet.spawn(suspended)
eventlet.spawn(inner).wait()
assert " in inner\n" in seen[0], seen
assert " in suspended" not in seen[0], seen
print("pass")

"""A green thread that imports a module waits while another one is importing it."""

# ruff: noqa: D101, D102, E402 (classes are props; when what is imported is the subject)

import sys
import types

import eventlet

eventlet.monkey_patch()

import importlib.abc
import importlib.machinery


class Slow(importlib.abc.Loader):
    """Lets others run while a module is half made."""

    def create_module(self, spec):
        return types.ModuleType(spec.name)

    def exec_module(self, module):
        eventlet.sleep(0.01)
        module.complete = True


class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.startswith("slow_"):
            return importlib.machinery.ModuleSpec(name, Slow())
        return None


sys.meta_path.insert(0, Finder())


def load():
    import slow_module

    return slow_module.complete


threads = [eventlet.spawn(load) for _ in range(3)]
assert [thread.wait() for thread in threads] == [True, True, True]


# OS threads and green ones import the same module.
def load_other():
    import slow_other

    results.append(slow_other.complete)


results = []
Thread = eventlet.patcher.original("threading").Thread
others = [Thread(target=load_other) for _ in range(2)]
for other in others:
    other.start()
greens = [eventlet.spawn(load_other) for _ in range(2)]
for green in greens:
    green.wait()
for other in others:
    other.join()
assert results == [True] * 4
print("pass")

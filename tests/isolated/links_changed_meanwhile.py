"""Links taken out or added while links are called neither crash it nor get lost."""

import gc

import eventlet
import greenlet

main = greenlet.getcurrent()


def taken_out_while_called():
    class Compared:
        __hash__ = None

        def __call__(self, green):
            called.append("compared")

        def __eq__(self, other):
            main.switch("comparing")
            return True

    def resume(green):
        called.append("resume")
        unlink.parent = greenlet.getcurrent()
        unlink.switch()

    called = []
    green = eventlet.spawn(int)
    for link in (Compared(), resume, lambda _: called.append("last")):
        green.link(link)
    unlink = greenlet.greenlet(lambda: green.unlink(Compared()))
    assert unlink.switch() == "comparing"
    eventlet.sleep(0)
    assert unlink.dead
    assert called[:2] == ["compared", "resume"], called


def added_by_the_collector():
    class Collected:
        def __init__(self, green):
            self.me, self.green = self, green

        def __del__(self):
            self.green.link(lambda _: called.append("collected"))

    called = []
    green = eventlet.spawn(int)
    for _ in range(50):
        Collected(green)
    gc.set_threshold(1)
    green.link(lambda _: called.append("linked"))
    gc.set_threshold(700)
    gc.collect()
    green.wait()
    assert called.count("collected") == 50
    assert called.count("linked") == 1


taken_out_while_called()
added_by_the_collector()
print("pass")

"""What a switch keeps apart: exceptions, generators, contexts, traces, depth."""

from __future__ import annotations

import contextvars
import faulthandler
import sys
import tempfile

import pytest

import eventlet
import greenlet


def alternate(*functions):
    """Run the functions as raw greenlets, one step each in turn, to their ends."""
    main = greenlet.getcurrent()
    running = [greenlet.greenlet(function) for function in functions]
    for one in running:
        one.switch(main.switch)
    while running:
        running = [one for one in running if not one.dead]
        for one in running:
            one.switch()


def test_handled_exception_belongs_to_its_stack():
    """sys.exc_info() in an except block is the same before and after a switch."""
    seen = []

    def handler(name):
        def run(pause):
            for number in range(3):
                try:
                    raise ValueError(name, number)
                except ValueError as error:
                    pause()
                    seen.append(sys.exc_info()[1] is error)
                    try:
                        pause()
                        raise KeyError(name)
                    except KeyError as inner:
                        pause()
                        seen.append(inner.__context__ is error)
                seen.append(sys.exc_info() == (None, None, None))

        return run

    alternate(handler("a"), handler("b"), handler("c"))
    assert seen == [True] * 27
    assert sys.exc_info() == (None, None, None)


def test_reraise_after_switch_raises_the_same_exception():
    """A bare raise finds its exception although others were handled meanwhile."""

    def fail(name):
        try:
            raise ValueError(name)
        except ValueError:
            eventlet.sleep(0)
            raise

    greens = [eventlet.spawn(fail, name) for name in "abc"]
    for name, green in zip("abc", greens, strict=True):
        with pytest.raises(ValueError, match=name):
            green.wait()


def test_generators_keep_their_frames_across_switches():
    """Generators that switch in the middle of each other go on where they were."""

    def produce(name):
        for number in range(3):
            eventlet.sleep(0)
            yield name, number

    def chain(name):
        yield from produce(name)
        yield from reversed(list(produce(name)))

    greens = [eventlet.spawn(list, chain(name)) for name in "abc"]
    for name, green in zip("abc", greens, strict=True):
        steps = [(name, number) for number in range(3)]
        assert green.wait() == steps + steps[::-1]


def test_generator_is_advanced_by_several_green_threads():
    """A generator moves with its caller from stack to stack."""

    def count():
        number = 0
        while True:
            number += 1
            yield number, greenlet.getcurrent()

    numbers = count()

    def take():
        taken = []
        for _ in range(3):
            number, where = next(numbers)
            assert where is greenlet.getcurrent()
            taken.append(number)
            eventlet.sleep(0)
        return taken

    greens = [eventlet.spawn(take) for _ in range(3)]
    assert [green.wait() for green in greens] == [[1, 4, 7], [2, 5, 8], [3, 6, 9]]


def test_running_generator_refuses_a_second_stack():
    """A generator suspended in the middle of a step is still running."""

    def pause():
        eventlet.sleep(0)
        yield

    generator = pause()
    green = eventlet.spawn(next, generator)
    eventlet.sleep(0)
    with pytest.raises(ValueError, match="already executing"):
        next(generator)
    green.wait()


def test_switch_inside_c_code_returns_to_it():
    """Green threads interleave inside sorted() and map() without mixing their values."""
    order = []

    def key(name):
        def slow(value):
            order.append(name)
            eventlet.sleep(0)
            return -value

        return slow

    greens = [
        eventlet.spawn(sorted, range(5), key=key("a")),
        eventlet.spawn(list, map(key("b"), range(5))),
    ]
    assert greens[0].wait() == [4, 3, 2, 1, 0]
    assert greens[1].wait() == [0, -1, -2, -3, -4]
    assert order == ["a", "b"] * 5


def test_contexts_are_copies_made_at_the_spawn():
    """A green thread sees its spawner's variables as they were, and changes its own."""
    variable = contextvars.ContextVar("variable", default="unset")
    seen = []

    def look(name):
        seen.append((name, variable.get()))
        variable.set(name)
        eventlet.sleep(0)
        seen.append((name, variable.get()))

    token = variable.set("before")
    greens = [
        eventlet.spawn(look, "spawn"),
        eventlet.spawn_n(look, "spawn_n"),
        eventlet.spawn_after(0, look, "after"),
    ]
    variable.set("later")
    greens[2].wait()
    eventlet.sleep(0)
    assert sorted(seen) == [
        ("after", "after"),
        ("after", "before"),
        ("spawn", "before"),
        ("spawn", "spawn"),
        ("spawn_n", "before"),
        ("spawn_n", "spawn_n"),
    ]
    assert variable.get() == "later"
    variable.reset(token)


@pytest.mark.parametrize("how", ["spawn", "spawn_n", "starmap", "pile"])
def test_pools_copy_the_context_of_their_caller(how):
    """A job sees the variables of who gave it to the pool, not of who made the pool."""
    variable = contextvars.ContextVar("variable", default="unset")
    pool, seen = eventlet.GreenPool(2), []

    def look():
        seen.append(variable.get())
        variable.set("the job's")
        eventlet.sleep(0)

    def give():
        variable.set("the caller's")
        if how == "starmap":
            list(pool.starmap(look, [(), (), ()]))
        elif how == "pile":
            pile = eventlet.GreenPile(pool)
            for _ in range(3):
                pile.spawn(look)
            list(pile)
        else:
            for _ in range(3):
                getattr(pool, how)(look)
        pool.waitall()
        return variable.get()

    assert eventlet.spawn(give).wait() == "the caller's"
    assert seen == ["the caller's"] * 3
    assert variable.get() == "unset"


def test_raw_greenlet_starts_in_an_empty_context_or_in_the_one_it_is_given():
    """As greenlet has it: nothing is copied unless somebody says so."""
    variable = contextvars.ContextVar("variable", default="unset")
    token = variable.set("main's")
    plain, given = greenlet.greenlet(variable.get), greenlet.greenlet(variable.get)
    given.gr_context = contextvars.copy_context()
    assert (plain.switch(), given.switch()) == ("unset", "main's")
    variable.reset(token)


def test_token_is_bound_to_its_context():
    """A token of one green thread cannot be used in another."""
    variable = contextvars.ContextVar("variable")
    token = variable.set(1)
    with pytest.raises(ValueError, match="different Context"):
        eventlet.spawn(variable.reset, token).wait()
    variable.reset(token)


def test_empty_contexts_by_the_environment(run_isolated):
    """EVENTLET_ASYNCIO_CONTEXT=empty starts green threads in an empty context."""
    program = """
import contextvars
import eventlet
variable = contextvars.ContextVar("variable", default="unset")
variable.set("main")
print(eventlet.spawn(variable.get).wait())
"""
    env = {"EVENTLET_HUB": "asyncio"}
    assert run_isolated(program, env).stdout == "main\n"
    env["EVENTLET_ASYNCIO_CONTEXT"] = "empty"
    assert run_isolated(program, env).stdout == "unset\n"
    env["EVENTLET_ASYNCIO_CONTEXT"] = "full"
    done = run_isolated(program, env, status=1)
    assert "'full' is no choice: give copy or empty" in done.stderr


def test_each_stack_has_the_whole_recursion_limit():
    """Green threads start at depth 0 however deep their spawner is."""

    def depth():
        try:
            return 1 + depth()
        except RecursionError:
            return 1

    def deep(levels):
        if levels:
            return deep(levels - 1)
        return eventlet.spawn(depth).wait(), depth()

    alone = eventlet.spawn(depth).wait()
    inner, outer = deep(300)
    assert abs(inner - alone) < 30
    assert outer < alone - 250


def test_recursion_limit_holds_for_suspended_stacks():
    """A limit changed meanwhile counts for a stack that is deep already."""

    def down(levels):
        if levels:
            return down(levels - 1)
        eventlet.sleep(0)
        try:
            down(500)
        except RecursionError:
            return "limited"
        return "free"

    former = sys.getrecursionlimit()
    green = eventlet.spawn(down, 300)
    eventlet.sleep(0)
    try:
        sys.setrecursionlimit(600)
        assert green.wait() == "limited"
        sys.setrecursionlimit(2000)
        assert eventlet.spawn(down, 300).wait() == "free"
    finally:
        sys.setrecursionlimit(former)


@pytest.mark.parametrize("install", [sys.settrace, sys.setprofile])
def test_trace_and_profile_functions_see_green_threads(install):
    """A function set while green threads are suspended sees them when they go on."""
    calls = []

    def inner(name):
        return name

    def body(name):
        eventlet.sleep(0)
        inner(name)
        eventlet.sleep(0)
        inner(name)

    def watch(frame, event, _argument):
        if event == "call" and frame.f_code is inner.__code__:
            calls.append(frame.f_locals["name"])

    former = sys.gettrace(), sys.getprofile()
    greens = [eventlet.spawn(body, name) for name in "ab"]
    eventlet.sleep(0)
    install(watch)
    try:
        for green in greens:
            green.wait()
    finally:
        sys.settrace(former[0])
        sys.setprofile(former[1])
    assert calls == ["a", "b", "a", "b"]


def test_trace_function_may_switch():
    """A switch inside a trace function leaves the traces of both stacks whole."""
    lines = []

    def body():
        one = 1
        return one + 1

    def watch(frame, event, _argument):
        if frame.f_code is not body.__code__:
            return None
        lines.append(event)
        if event == "line":
            eventlet.sleep(0)
        return watch

    other = eventlet.spawn(lambda: [eventlet.sleep(0) for _ in range(5)])
    former = sys.gettrace()
    sys.settrace(watch)
    try:
        assert body() == 2
    finally:
        sys.settrace(former)
    other.wait()
    assert lines == ["call", "line", "line", "return"]


def test_faulthandler_shows_the_frames_of_a_green_thread():
    """A dump made in a green thread names its functions, and not those of others."""

    def in_green():
        faulthandler.dump_traceback(file=dump, all_threads=False)

    def other():
        eventlet.sleep(0)

    with tempfile.TemporaryFile("w+") as dump:
        suspended = eventlet.spawn(other)
        eventlet.sleep(0)
        eventlet.spawn(in_green).wait()
        suspended.wait()
        dump.seek(0)
        text = dump.read()
    assert "in in_green" in text
    assert "in other" not in text
    assert "invalid" not in text
    assert "test_faulthandler" not in text


def test_frame_of_a_suspended_green_thread_can_be_walked():
    """gr_frame and its callers are those that the green thread returns through."""

    def outer():
        inner()

    def inner():
        eventlet.sleep(0)

    green = eventlet.spawn(outer)
    eventlet.sleep(0)
    names = []
    frame = green.gr_frame
    while frame is not None:
        names.append(frame.f_code.co_name)
        frame = frame.f_back
    green.wait()
    assert names == ["inner", "outer"]
    assert green.gr_frame is None

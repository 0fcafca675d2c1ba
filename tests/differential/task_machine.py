"""Runs one program of tasks, on whatever loop it finds itself, and keeps its trace."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import contextvars
import functools
import socket
import weakref

from traces import COMPOUND, BaseBoom, Boom, Ret, clean

VAR = contextvars.ContextVar("VAR", default="unset")
# As it is before anything is patched.
real_socketpair = socket.socketpair
#: Set by the mode: runs a function in an OS thread.
start_thread = None


class Machine:
    """A program that is being run."""

    def __init__(self, program, unit, clock):
        self.p = program
        self.unit = unit
        self.clock = clock
        self.trace = []
        self.reports = []
        self.slots = {}
        self.calls = {}
        self.timers = []
        self.at_work = []
        self.names = collections.Counter()
        self.bg = []
        self.generators = []

    def log(self, who, *what):
        self.trace.append([who, " ".join(clean(w) for w in what)])

    def sleep_at_work(self, d):
        """Sleep in an OS thread; the program does not end before."""
        self.at_work.append(d)
        self.clock.sleep(self.t(d))
        self.at_work.remove(d)

    @staticmethod
    def fmt(e):
        if isinstance(e, BaseExceptionGroup):  # noqa: F821 - new in 3.11
            return f"{type(e).__name__}({e.args[0]}, [{', '.join(Machine.fmt(x) for x in e.exceptions)}])"
        return f"{type(e).__name__}({clean(e)})"

    def val(self, v):
        if isinstance(v, asyncio.Task):
            return "<task " + v.get_name() + ">"
        if isinstance(v, asyncio.Future):
            return "<future>"
        if isinstance(v, BaseException):
            return self.fmt(v)
        if isinstance(v, (list, tuple)):
            return "[" + ", ".join(self.val(x) for x in v) + "]"
        return clean(repr(v))

    def t(self, d):
        return d * self.unit if d else d

    def exception(self, name, text="x"):
        return {
            "Boom": Boom,
            "BaseBoom": BaseBoom,
            "ValueError": ValueError,
            "TimeoutError": TimeoutError,
            "CancelledError": asyncio.CancelledError,
        }[name](text)

    def close(self):
        """Close what the program has opened."""
        for end in getattr(self, "pair", ()):
            end.close()

    async def body(self, name):
        n = self.names[name]
        self.names[name] += 1
        who = f"{name}.{n}" if n else name
        self.log(who, "start", VAR.get())
        try:
            await self.stmts(who, self.p["bodies"].get(name, ()))
        except Ret as e:
            self.log(who, "returns")
            return e.args[0]
        except BaseException as e:
            self.log(who, "dies", self.fmt(e))
            raise
        self.log(who, "ends")
        return who

    async def stmts(self, who, stmts):
        for s in stmts:
            await self.step(who, s)

    async def step(self, who, s):
        op = s[0]
        self.log(who, ">", op)
        try:
            r = await getattr(self, "do_" + op)(who, *s[1:])
        except Ret:
            raise
        except Exception as e:
            self.log(who, op, "!", self.fmt(e))
            if op == "raise" or (op in COMPOUND and isinstance(e, Boom)):
                raise
        except asyncio.CancelledError as e:
            self.log(who, op, "!!", self.fmt(e))
            # Cancelled by what it waits for, or itself?
            if asyncio.current_task().cancelling() or op == "raise":
                raise
        except BaseException as e:
            self.log(who, op, "!!!", self.fmt(e))
            raise
        else:
            self.log(who, op, "=", self.val(r))

    def task(self, slot):
        t = self.slots.get(slot)
        return None if t is asyncio.current_task() else t

    def tasks(self, slots):
        return [t for t in dict.fromkeys(self.task(s) for s in slots) if t is not None]

    async def do_sleep(self, who, d):
        return await asyncio.sleep(self.t(d), "slept")

    async def do_create(self, who, slot, name):
        self.slots[slot] = asyncio.create_task(self.body(name), name=name)

    async def do_cancel(self, who, slot, msg):
        t = self.task(slot)
        if t is None:
            return "none"
        return [t.cancel(msg) if msg else t.cancel(), t.cancelling()]

    async def do_await(self, who, slot):
        t = self.task(slot)
        return "none" if t is None else await t

    async def do_gather(self, who, slots, re):
        return await asyncio.gather(*self.tasks(slots), return_exceptions=re)

    async def do_gather_new(self, who, names, re):
        return await asyncio.gather(
            *[self.body(n) for n in names], return_exceptions=re
        )

    async def do_wait(self, who, slots, d, when):
        ts = self.tasks(slots)
        if not ts:
            return "none"
        done, pending = await asyncio.wait(ts, timeout=self.t(d), return_when=when)
        return [
            sorted(t.get_name() for t in done),
            sorted(t.get_name() for t in pending),
        ]

    async def do_wait_for(self, who, slot, d):
        t = self.task(slot)
        return "none" if t is None else await asyncio.wait_for(t, self.t(d))

    async def do_wait_for_new(self, who, name, d):
        return await asyncio.wait_for(self.body(name), self.t(d))

    async def do_shield(self, who, slot, d):
        t = self.task(slot)
        return (
            "none"
            if t is None
            else await asyncio.wait_for(asyncio.shield(t), self.t(d))
        )

    async def do_as_completed(self, who, slots, d):
        out = []
        for f in asyncio.as_completed(self.tasks(slots), timeout=self.t(d)):
            try:
                out.append(self.val(await f))
            except Exception as e:
                out.append(self.fmt(e))
        # Those that are done already come in the order of their addresses.
        return sorted(out)

    async def do_event(self, who, e, what, d):
        e = self.o[e]
        if what == "wait":
            return await asyncio.wait_for(e.wait(), self.t(d))
        return getattr(e, what)()

    async def do_queue(self, who, q, what, v, d):
        q = self.o[q]
        if what == "put":
            return await asyncio.wait_for(q.put(v), self.t(d))
        if what in ("get", "join"):
            return await asyncio.wait_for(getattr(q, what)(), self.t(d))
        if what == "done":
            return q.task_done()
        if what == "size":
            return [q.qsize(), q.full(), q.empty()]
        return q.put_nowait(v) if what == "put_nowait" else q.get_nowait()

    async def do_acquire(self, who, n, d):
        return await asyncio.wait_for(self.o[n].acquire(), self.t(d))

    async def do_release(self, who, n):
        return self.o[n].release()

    async def do_notify(self, who, n, k):
        return self.o[n].notify_all() if k == "all" else self.o[n].notify(k)

    async def do_cwait(self, who, n, d):
        if d is None:
            d = 9.1
        return await asyncio.wait_for(self.o[n].wait(), self.t(d))

    async def do_barrier(self, who, n, what, d):
        b = self.o[n]
        if what == "wait":
            return await asyncio.wait_for(b.wait(), self.t(d))
        return await getattr(b, what)()

    def fire(self, tag, what, slot):
        self.log("call", tag, what, VAR.get())
        if what == "raise":
            raise Boom("call")
        t = self.slots.get(slot)
        if what == "cancel" and t is not None:
            self.log("call", t.cancel())
        if what == "set":
            f = self.o["F0"]
            if not f.done():
                f.set_result(tag)
        if what == "create":
            self.bg.append(asyncio.ensure_future(self.little(tag)))

    async def little(self, tag):
        self.log("little", tag, VAR.get())
        await asyncio.sleep(0)
        self.log("little", tag, "ends")

    async def do_call_soon(self, who, tag, what, slot):
        self.calls[tag] = asyncio.get_running_loop().call_soon(
            self.fire, tag, what, slot
        )

    async def do_call_later(self, who, tag, d, what, slot):
        self.calls[tag] = asyncio.get_running_loop().call_later(
            self.t(d), self.fire, tag, what, slot
        )
        self.timers.append(self.calls[tag])

    async def do_uncall(self, who, tag):
        h = self.calls.get(tag)
        return "none" if h is None else [h.cancelled(), h.cancel(), h.cancelled()]

    async def do_threadsafe(self, who, tag, d):
        loop = asyncio.get_running_loop()
        f = loop.create_future()

        def deliver():
            if not f.done():
                f.set_result(tag)

        def other():
            self.sleep_at_work(d)
            with contextlib.suppress(RuntimeError):  # The loop is closed.
                loop.call_soon_threadsafe(deliver)

        with self.clock.job(other) as job:
            start_thread(job)
            return await f

    async def do_future(self, who, n, what, exc, d):
        f = self.o[n]
        if what == "new":
            self.o[n] = asyncio.get_running_loop().create_future()
        elif what == "result":
            f.set_result(who)
        elif what == "exc":
            f.set_exception(self.exception(exc, "future"))
        elif what == "cancel":
            return f.cancel()
        elif what == "state":
            return [f.done(), f.cancelled()]
        else:
            return await asyncio.wait_for(asyncio.shield(f), self.t(d))
        return None

    async def do_raise(self, who, exc):
        raise self.exception(exc, "raised")

    async def do_ret(self, who, v):
        raise Ret(v)

    async def do_ctx(self, who, what, v):
        if what == "set":
            VAR.set(v)
        return VAR.get()

    async def do_who(self, who):
        return [
            asyncio.current_task().get_name()
            if asyncio.current_task().get_name()[0] == "b"
            else "-",
            asyncio.get_running_loop() is asyncio.get_event_loop(),
        ]

    async def do_tasks(self, who):
        return sorted(
            t.get_name() for t in asyncio.all_tasks() if t.get_name()[0] == "b"
        )

    async def do_uncancel(self, who):
        t = asyncio.current_task()
        return [t.cancelling(), t.uncancel()]

    async def do_selfcancel(self, who):
        asyncio.current_task().cancel("self")
        await asyncio.sleep(0)

    async def do_callback(self, who, slot, tag):
        t = self.slots.get(slot)
        if t is None:
            return "none"
        t.add_done_callback(
            lambda f: self.log("callback", tag, f.get_name(), f.cancelled(), VAR.get())
        )
        return None

    async def do_state(self, who, slot):
        t = self.slots.get(slot)
        if t is None:
            return "none"
        c = t.get_coro()
        # The frames of a running task include whoever runs it.
        frames = len(t.get_stack()) if t is not asyncio.current_task() else "running"
        return [
            t.done(),
            t.cancelled(),
            t.cancelling(),
            getattr(c, "cr_running", "?"),
            getattr(c, "__name__", "?"),
            asyncio.iscoroutine(c),
            frames,
        ]

    async def do_thread(self, who, d, exc):
        def work():
            self.sleep_at_work(d)
            if exc:
                raise self.exception(exc, "thread")
            return VAR.get()

        with self.clock.job(work) as job:
            return await asyncio.to_thread(job)

    async def do_sock(self, who, what, n):
        if not hasattr(self, "pair"):
            self.pair = real_socketpair()
            for s in self.pair:
                s.setblocking(False)
        loop = asyncio.get_running_loop()
        if what == "send":
            return await loop.sock_sendall(self.pair[0], b"x" * n)
        return len(
            await asyncio.wait_for(loop.sock_recv(self.pair[1], n), self.t(4.321))
        )

    async def do_nestedrun(self, who):
        c = asyncio.sleep(0)
        try:
            return asyncio.run(c)
        finally:
            c.close()

    async def do_try(self, who, body, catch, final):
        kinds = {
            "Cancelled": asyncio.CancelledError,
            "Boom": Boom,
            "all": BaseException,
            "none": (),
            "Timeout": TimeoutError,
        }[catch]
        try:
            await self.stmts(who, body)
        except (Ret, GeneratorExit):
            raise
        except kinds as e:
            self.log(who, "caught", self.fmt(e), asyncio.current_task().cancelling())
        finally:
            await self.stmts(who, final)

    async def do_timeout(self, who, d, body, again):
        async with asyncio.timeout(self.t(d)) as t:
            if again == "past":
                t.reschedule(asyncio.get_running_loop().time() - 1)
            elif again:
                t.reschedule(asyncio.get_running_loop().time() + self.t(again))
            await self.stmts(who, body)
        return t.expired()

    async def do_lock(self, who, n, body):
        async with asyncio.timeout(self.t(8.77)):
            async with self.o[n]:
                await self.stmts(who, body)

    do_sem = do_cond = do_lock

    async def do_group(self, who, children, body):
        async with asyncio.TaskGroup() as g:
            for slot, name in children:
                self.slots[slot] = g.create_task(self.body(name), name=name)
            await self.stmts(who, body)

    async def do_gen(self, who, how, n, body):
        async def numbers():
            try:
                for i in range(n):
                    self.log(who, "yields", i)
                    yield i
                    await asyncio.sleep(0)
            except BaseException as e:
                self.log(who, "gen", self.fmt(e))
                raise
            finally:
                self.log(who, "gen finally")
                await asyncio.sleep(0)
                self.log(who, "gen ended")

        it = numbers()
        self.generators.append(weakref.ref(it))
        async for _i in it:
            if how == "break":
                break
            if how == "aclose":
                await it.aclose()
            if how == "athrow":
                try:
                    await it.athrow(Boom("athrow"))
                except Boom as e:
                    self.log(who, "athrow", self.fmt(e))
                break
            if how == "leave":
                self.bg.append(it)
                break
            await self.stmts(who, body)
        return how

    def place(self, task):
        """Return where a task comes among those that are cancelled at the end."""
        for slot, known in self.slots.items():
            if known is task:
                return (0, slot, "")
        coroutine = task.get_coro()
        frame = getattr(coroutine, "cr_frame", None)
        who = frame.f_locals.get("who") if frame else None
        return (1, 0, str(who or getattr(coroutine, "__name__", "")))

    async def main(self):
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(functools.partial(report, self.reports))
        kinds = {
            "Queue": asyncio.Queue,
            "LifoQueue": asyncio.LifoQueue,
            "PriorityQueue": asyncio.PriorityQueue,
            "Event": asyncio.Event,
            "Lock": asyncio.Lock,
            "Semaphore": asyncio.Semaphore,
            "Condition": asyncio.Condition,
            "Future": loop.create_future,
            "Barrier": lambda: asyncio.Barrier(2),
        }
        self.o = {
            n: kinds[k](self.p["qsize"]) if "Queue" in k else kinds[k]()
            for n, k in self.p["objs"].items()
        }
        me = asyncio.current_task()
        others = asyncio.all_tasks()
        over = False

        def watchdog():
            # Again and again: what is cancelled may go on to the next statement.
            if not over:
                self.log("watchdog")
                me.cancel()
                loop.call_later(self.unit * 5, watchdog)

        watch = loop.call_later(self.unit * 60, watchdog)
        try:
            await self.stmts("main", self.p["main"])
            return "main ends"
        except Ret as e:
            return e.args[0]
        finally:
            over = True
            watch.cancel()
            while me.cancelling():
                me.uncancel()
            self.log("main", "finally")
            # Here, since the hub's loop goes on when a program has ended: see `known`.
            for _ in range(60):
                pending = asyncio.all_tasks() - others
                if not pending:
                    break
                for t in sorted(pending, key=self.place):
                    t.cancel()
                await asyncio.wait(pending, timeout=self.unit * 5)
            for b in self.bg:
                if not isinstance(b, asyncio.Task):
                    await b.aclose()
            # Those that a traceback holds; the others are closed by tasks of their own.
            for reference in self.generators:
                left = reference()
                if left is not None:
                    await left.aclose()
            left = None
            for _ in range(5):
                await asyncio.sleep(0)
            for h in self.timers:
                h.cancel()
            while self.at_work:  # noqa: ASYNC110 - OS threads empty it
                await asyncio.sleep(self.unit)
            for slot in sorted(self.slots):
                t = self.slots[slot]
                self.log(
                    "end",
                    slot,
                    t.done(),
                    t.cancelled(),
                    self.fmt(t.exception())
                    if t.done() and not t.cancelled() and t.exception()
                    else "",
                )


def report(reports, _loop, context):
    """Take note of what a loop reports. Knows no machine: the loop may live longer."""
    said = context.get("message", "")[:60]
    if "exception" in context:
        said = clean(context.get("message", "")).split(":")[0].split(" <")[0][:60]
        said += " " + Machine.fmt(context["exception"])
    reports.append(said)

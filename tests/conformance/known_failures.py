"""
Tests of the conformance harness that fail here, and why.

The suites are A (upstream Eventlet's own tests), B (greenlet's) and C (CPython's, after
`monkey_patch`). They are those of CPython 3.11 with `EVENTLET_HUB=asyncio`, on which the
harness keeps its baselines. A test that is in here and passes is an error, like one that
is not and fails.
"""

from __future__ import annotations

_FORK = (
    "expects that nothing but the forking thread survives in the child;"
    " green threads live on there, as upstream's do"
)
_WAITS = (
    "expects an error from reading an empty non-blocking descriptor;"
    " os.read waits, as upstream's does"
)
_C_QUEUE = (
    "loads _queue anew, past what is patched, and its queue blocks the OS thread;"
    " queue.SimpleQueue is green"
)
_NON_BLOCKING = (
    "looks at the mode of the descriptor; that of a green socket is always non-blocking"
)
_NATIVE_ID = "expects as many OS threads as threads; green ones share theirs"
_DUMMY = (
    "expects a thread that _thread started to stay registered for ever;"
    " a green one is taken out when it ends, as CPython does since 3.13"
)
_LEAK = (
    "expects greenlets of an ended OS thread to leak;"
    " those that nobody refers to are ended here"
)

_HOST = (
    "sends a request of HTTP/1.1 without Host, which is refused (RFC 9112, 3.2);"
    " reject_bad_requests = False lets it pass"
)
_STATUS = "expects 400 where the status for too large headers, 431, is sent"

_NO_LOOP = (
    "expects an error where no event loop runs;"
    " in main and in green code the hub's loop is used, as under upstream's asyncio hub"
)
_NO_LOOP_BEFORE = (
    "counts what is logged, and finds the tasks that earlier tests made on the hub's loop"
    " when they expected an error"
)
_TASK_CLASSES = (
    "CTaskSubclass_PyFuture_Tests",
    "CTask_CFuture_SubclassTests",
    "CTask_CFuture_Tests",
    "CTask_PyFuture_Tests",
    "PyTask_CFutureSubclass_Tests",
    "PyTask_CFuture_Tests",
    "PyTask_PyFuture_SubclassTests",
    "PyTask_PyFuture_Tests",
)
_TASKS = {
    "CCurrentLoopTests.test_current_task_no_running_loop_implicit": _NO_LOOP,
    "PyCurrentLoopTests.test_current_task_no_running_loop_implicit": _NO_LOOP,
    "CoroutineGatherTests.test_constructor_without_loop": _NO_LOOP,
    "FutureGatherTests.test_constructor_empty_sequence_without_loop": _NO_LOOP,
    **{
        f"{name}.{test}": _NO_LOOP
        for name in _TASK_CLASSES
        for test in (
            "test_as_completed_coroutine_without_loop",
            "test_ensure_future_coroutine",
            "test_shield_coroutine_without_loop",
        )
    },
}

KNOWN: dict[str, dict[str, dict[str, str]]] = {
    "A": {
        "tests/greenio_test.py": {
            "TestGreenIoLong::test_multiple_readers": (
                "expects the asyncio hub to refuse hub_prevent_multiple_readers(False);"
                " it is allowed here on every hub, and under EVENTLET_HUB=epolls the"
                " test passes"
            ),
        },
        "tests/websocket_new_test.py": {
            "TestWebSocketWithCompression::test_accept_deflate_ext_window_max_bits_13": (
                "offers server_max_window_bits without a value, which the server has to"
                " decline (RFC 7692, 7.1.2.1)"
            ),
        },
        "tests/wsgi_test.py": {
            **{
                f"TestChunkedInput::test_{test}": _HOST
                for test in (
                    "chunked_readline",
                    "chunked_readline_from_input",
                    "chunked_readline_wsgi_not_override_minimum_chunk_size",
                    "chunked_readline_wsgi_override_minimum_chunk_size",
                    "chunked_readlines_from_input",
                    "short_read",
                    "short_read_with_content_length",
                    "short_read_with_zero_content_length",
                )
            },
            "TestChunkedInput::test_dirt": (
                "puts NUL into a chunk extension, which is refused (RFC 9112, 7.1.1);"
                " and " + _HOST
            ),
            "TestHttpd::test_030_reject_long_header_lines": _STATUS,
            "TestHttpd::test_031_reject_large_headers": _STATUS,
            "TestHttpd::test_aborted_post_io_error": _HOST,
            "TestHttpd::test_no_transfer_encoding_in_empty_response": _HOST,
        },
    },
    "B": {
        "gtests/test_leaks.py": {
            "TestLeaks::test_issue251_issue252_explicit_reference_not_collectable": _LEAK,
            "TestLeaks::test_issue251_issue252_need_to_collect_in_background": _LEAK,
            "TestLeaks::test_issue251_issue252_need_to_collect_in_background_cleanup_disabled": _LEAK,
        },
    },
    "C": {
        "test_asyncio.test_tasks[imported]": _TASKS,
        "test_asyncio.test_tasks[active]": _TASKS
        | {
            f"{name}.test_tb_logger_not_called_after_cancel": _NO_LOOP_BEFORE
            for name in _TASK_CLASSES
        },
        "test_fork1": {
            "ForkTest.test_threaded_import_lock_fork": (
                "holds the interpreter's own import lock across a switch;"
                " that lock belongs to the OS thread, not to a green one"
            ),
            "ForkTest.test_wait": _FORK,
            "test.fork_wait.ForkWait.test_wait": _FORK,
        },
        "test_os": {"EventfdTests.test_eventfd_semaphore": _WAITS},
        "test_pty": {"PtyTest.test_openpty": _WAITS},
        "test_queue": {
            "CSimpleQueueTest.test_many_threads": _C_QUEUE,
            "CSimpleQueueTest.test_many_threads_timeout": _C_QUEUE,
            "CSimpleQueueTest.test_order": _C_QUEUE,
        },
        "test_select": {
            "SelectTestCase.test_disallow_instantiation": (
                "uses select.poll, which monkey_patch takes away as upstream does:"
                " it would block all green threads"
            ),
        },
        "test_signal": {
            "StressTest.test_stress_modifying_handlers": (
                "needs two threads to run at the same time that never wait"
            ),
        },
        "test_socket": {
            "GeneralModuleTests.test_SocketType_is_socketobject": (
                "expects the C class; SocketType is the green socket, as upstream's is"
            ),
            "NonBlockingTCPTests.testSetBlocking": _NON_BLOCKING,
            "NonBlockingTCPTests.testSetBlocking_overflow": _NON_BLOCKING,
            "NonblockConstantTest.test_SOCK_NONBLOCK": _NON_BLOCKING,
            "TestExceptions.test_setblocking_invalidfd": (
                "expects setblocking to make a system call;"
                " a green socket only notes what was asked for"
            ),
        },
        "test_ssl": {
            "BasicSocketTests.test_private_init": (
                "expects that SSLSocket cannot be called;"
                " GreenSSLSocket can, as upstream's"
            ),
        },
        "test_threading": {
            "InterruptMainTests.test_can_interrupt_tight_loops": (
                "needs two threads to run at the same time that never wait"
            ),
            "MiscTestCase.test__all__": (
                "compares the module that defines each function;"
                " some of threading's are green ones, defined by eventlet"
            ),
            "ThreadTests.test_PyThreadState_SetAsyncExc": (
                "raises an exception in another thread by the interpreter's own call,"
                " which knows OS threads only"
            ),
            "ThreadTests.test_disallow_instantiation": (
                "expects that the class of locks cannot be called;"
                " eventlet.lock.Lock can, as upstream's"
            ),
            "ThreadTests.test_foreign_thread": _DUMMY,
            "ThreadTests.test_ident_of_no_threading_threads": _DUMMY,
            "ThreadTests.test_old_threading_api": (
                "expects currentThread() to warn;"
                " upstream's tests expect that it does not"
            ),
            "ThreadTests.test_various_ops": _NATIVE_ID,
            "ThreadTests.test_various_ops_large_stack": _NATIVE_ID,
            "ThreadTests.test_various_ops_small_stack": _NATIVE_ID,
        },
        "test_threadsignals": {
            "ThreadSignals.test_signals": (
                "expects a signal's handler to run in the main thread alone;"
                " it runs in the green thread that is current in the main OS thread"
            ),
        },
    },
}
"""Suite: file: test: reason."""

ELSEWHERE: dict[str, dict[str, dict[str, str]]] = {
    "A": {
        "tests/greenio_test.py": {
            "TestGreenSocket::test_connect_ex_timeout": "needs an address that swallows packets",
            "TestGreenSocket::test_connect_timeout": "needs an address that swallows packets",
        },
    },
    "C": {
        "test_logging": {
            # From CPython 3.12 on.
            "ConfigDictTest.test_config_queue_handler": (
                "looks whether a queue is empty in a loop that never waits: its condition"
                " is a generator it does not run, and so always true; the thread that"
                " would empty the queue needs the loop to be interrupted"
            ),
        },
        "test_socket": {
            "ThreadedVSOCKSocketStreamTest.testStream": (
                "needs virtual sockets, and hangs without eventlet too where they are missing"
            ),
        },
        "test_signal": {
            "SiginterruptTest.test_siginterrupt_off": (
                "waits as long as the harness allows for a test that stands still"
            ),
        },
        "test_os": {
            "TestInvalidFD.test_closerange": (
                "skips itself where the next descriptors are in use"
            ),
        },
    },
}
"""As `KNOWN`, for tests that depend on machine or Python version, and may pass as well."""

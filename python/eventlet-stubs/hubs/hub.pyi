# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.hubs.hub import (
    BaseHub as BaseHub,
    DebugListener as DebugListener,
    ExcInfo as ExcInfo,
    FdListener as FdListener,
    READ as READ,
    WRITE as WRITE,
    alarm_handler as alarm_handler,
    alarm_itimer as alarm_itimer,
    arm_alarm as arm_alarm,
    closed_callback as closed_callback,
    g_prevent_multiple_readers as g_prevent_multiple_readers,
    hub_name as hub_name,
    monotonic as monotonic,
    noop as noop,
)

# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet._websocket.handshake import (
    Accepted as Accepted,
    KEY3_LENGTH as KEY3_LENGTH,
    PROTOCOL_GUID as PROTOCOL_GUID,
    Terms as Terms,
    accept_key as accept_key,
    answer as answer,
    answer_legacy as answer_legacy,
    legacy_version as legacy_version,
)

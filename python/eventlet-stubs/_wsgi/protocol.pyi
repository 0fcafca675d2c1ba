# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet._wsgi.protocol import (
    ChunkReadError as ChunkReadError,
    FileObjectForHeaders as FileObjectForHeaders,
    HeaderLineTooLong as HeaderLineTooLong,
    HeadersTooLarge as HeadersTooLarge,
    Input as Input,
    STATE_CLOSE as STATE_CLOSE,
    STATE_IDLE as STATE_IDLE,
    STATE_REQUEST as STATE_REQUEST,
    Timeout as Timeout,
    addr_to_host_port as addr_to_host_port,
    encode_header_line as encode_header_line,
    format_date_time as format_date_time,
    parse_chunk_size as parse_chunk_size,
    plain as plain,
)

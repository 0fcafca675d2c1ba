"""
The parts of `eventlet.wsgi`.

``protocol`` is sans-IO: bodies and headers on any file-like object. ``exchange`` runs an
application for one request, ``connection`` reads requests one after the other, ``server``
accepts connections, ``log`` writes lines.
"""

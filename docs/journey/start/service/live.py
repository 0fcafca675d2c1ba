"""The live side: a WebSocket that tells what happens to parcels."""

import json

from eventlet import websocket


class Live:
    """Tells each client all news, or those of the parcel it names first."""

    def __init__(self, feed):
        self._feed = feed

    def application(self):
        """Return the WSGI application that speaks WebSocket."""
        return websocket.WebSocketWSGI(self.serve)

    def serve(self, ws):
        """Talk to one client until it goes or the service ends."""
        wanted = ws.wait()
        if wanted is None:
            return
        number = json.loads(wanted).get("number")
        subscription = self._feed.subscribe()
        try:
            ws.send(json.dumps({"listening": number}))
            while (news := subscription.get()) is not None:
                if number in (None, news["number"]):
                    ws.send(json.dumps(news))
        except OSError:
            pass
        finally:
            subscription.close()
